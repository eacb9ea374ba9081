"""Where commands find the CA, and how they end with an error."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import typer

import sluicegate

__all__ = ["certs_dir", "fail"]


def fail(message: str, code: int = 2) -> NoReturn:
    """Print one line on stderr and exit."""
    typer.echo(f"sluicegate: {message}", err=True)
    raise typer.Exit(code)


def certs_dir() -> Path:
    """The folder of the CA's keys: SLUICEGATE_CERTS, certs/ of a checkout, else a folder in the state folder (0700)."""
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
