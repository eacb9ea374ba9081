"""`sluicegate copilot login` and `logout`: the login that kind copilot uses, kept in the state folder."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from sluicegate.cli.places import fail
from sluicegate.settings import ConfigError, load_usable

__all__ = ["app"]

app = typer.Typer(help="Sign in to GitHub Copilot (unofficial, at your own risk).", no_args_is_help=True)

Config = Annotated[Path | None, typer.Option("--config", "-c", help="Configuration file (YAML); for its state_dir.")]


@app.command()
def login(
    config: Config = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take the risk without being asked.")] = False,
) -> None:
    """Sign in with GitHub's device flow, and keep the login (0600) for `kind: copilot`."""
    from sluicegate.providers.auth import copilot_login
    from sluicegate.providers.auth.held_keys import CredentialError
    from sluicegate.providers.copilot import WARNING

    typer.echo(WARNING.format(name="copilot") + ".")
    if not yes:
        typer.confirm("Go on?", abort=True)
    path = _file(config)
    try:
        code = copilot_login.begin()
        typer.echo(f"Open {code.page} and enter {code.user_code}")
        token = copilot_login.wait(code, time.sleep)
    except CredentialError as e:
        fail(str(e), 1)
    keep(path, token)
    typer.echo(f"signed in; the login is kept in {path}")


@app.command()
def logout(config: Config = None) -> None:
    """Forget the login. What it was exchanged for runs out within half an hour."""
    _file(config).unlink(missing_ok=True)
    typer.echo("the login is gone from this machine; revoke it under https://github.com/settings/applications as well")


def keep(path: Path, token: str) -> None:
    """Write the login so that nobody else can read it, at no time."""
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
