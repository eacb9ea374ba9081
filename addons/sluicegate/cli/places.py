"""Where the command finds things, and how it says that it can not go on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import typer

import sluicegate

__all__ = ["certs_dir", "fail"]


def fail(message: str, code: int = 2) -> NoReturn:
    """One line on stderr, and out."""
    typer.echo(f"sluicegate: {message}", err=True)
    raise typer.Exit(code)


def certs_dir() -> Path:
    """Where the CA's keys live: SLUICEGATE_CERTS, certs/ of a checkout, else a folder under the state folder (0700)."""
    if given := os.environ.get("SLUICEGATE_CERTS"):
        folder = Path(given).expanduser()
    else:
        checkout = Path(sluicegate.__file__).parents[2] / "certs"
        if (checkout / "README.md").exists():
            return checkout
        from sluicegate.settings import Settings
        from sluicegate.settings.state_folder import state_folder

        folder = state_folder(Settings()) / "certs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
