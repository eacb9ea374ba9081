"""`sluicegate copilot login` and `logout`: the login of providers of kind copilot, stored in the state folder."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from sluicegate.cli.commands import Commands
from sluicegate.cli.places import fail
from sluicegate.settings import ConfigError, load_usable

__all__ = ["app"]

app = Commands(help="Sign in to GitHub Copilot (unofficial, at your own risk).")

Config = Annotated[Path | None, typer.Option("--config", "-c", help="Configuration file (YAML); its state_dir is used.")]


@app.command()
def login(
    config: Config = None,
    yes: Annotated[bool, typer.Option("--yes", help="Accept the risk without a prompt.")] = False,
) -> None:
    """Sign in with GitHub's device flow and store the login (mode 0600)."""
    from sluicegate.providers.auth import copilot_login
    from sluicegate.providers.auth.held_keys import CredentialError
    from sluicegate.providers.copilot import WARNING

    typer.echo(WARNING.format(name="copilot") + ".")
    if not yes:
        typer.confirm("Continue?", abort=True)
    path = _file(config)
    try:
        code = copilot_login.begin()
        typer.echo(f"Open {code.page} and enter {code.user_code}")
        token = copilot_login.wait(code, time.sleep)
    except CredentialError as e:
        fail(str(e), 1)
    keep(path, token)
    typer.echo(f"signed in; login stored in {path}")


@app.command()
def logout(config: Config = None) -> None:
    """Delete the stored login. Tokens obtained with it expire within 30 minutes."""
    _file(config).unlink(missing_ok=True)
    typer.echo("login deleted from this machine; to revoke it, open https://github.com/settings/applications")


def keep(path: Path, token: str) -> None:
    """Write the login to a file that only this user can read, from its first byte on."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(token + "\n")
    part.replace(path)


def _file(config: Path | None) -> Path:
    from sluicegate.providers.copilot import LOGIN_FILE
    from sluicegate.settings.state_folder import state_folder

    try:
        return state_folder(load_usable(config, os.environ)) / LOGIN_FILE
    except ConfigError as e:
        fail(e.report())
