"""Where commands find the configuration and the CA, and how they end with an error."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, NoReturn

import typer

import sluicegate
from sluicegate.settings import ConfigError, Settings, load

__all__ = ["ConfigOption", "certs_dir", "fail", "read_settings", "warn"]

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="Configuration file of the gate (YAML). Default: SLUICEGATE_CONFIG."
    ),
]


def fail(message: str, code: int = 2) -> NoReturn:
    """Print one line on stderr and exit."""
    typer.echo(f"sluicegate: {message}", err=True)
    raise typer.Exit(code)


def warn(message: str) -> None:
    """Print one line on stderr and go on."""
    typer.echo(f"sluicegate: {message}", err=True)


def read_settings(config: Path | None) -> Settings:
    """The settings of --config, else of SLUICEGATE_CONFIG, else the defaults."""
    named = os.environ.get("SLUICEGATE_CONFIG")
    try:
        return load(config or (Path(named) if named else None), os.environ)
    except ConfigError as e:
        fail(e.report())


def certs_dir(settings: Settings) -> Path:
    """The folder of the CA's keys: SLUICEGATE_CERTS, certs/ of a checkout, else a folder in the state folder (0700).

    A CA in the default state folder stays the gate's when a configuration sets another `state_dir`: clients trust it.
    """
    if given := os.environ.get("SLUICEGATE_CERTS"):
        folder = Path(given).expanduser()
    else:
        checkout = Path(sluicegate.__file__).parents[2] / "certs"
        if os.path.exists(checkout / "README.md") and _usable(checkout):  # noqa: PTH110 - False where it is not readable
            return checkout
        first = Settings().state_dir.expanduser() / "certs"
        folder = first if _holds_ca(first) else settings.state_dir.expanduser() / "certs"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(exist_ok=True, mode=0o700)
    except OSError as e:
        fail(f"cannot create the folder {folder}: {e.strerror}; set state_dir in the configuration, or SLUICEGATE_CERTS")
    return folder


def _usable(folder: Path) -> bool:
    return _holds_ca(folder) or os.access(folder, os.W_OK)


def _holds_ca(folder: Path) -> bool:
    return os.access(folder / "mitmproxy-ca.pem", os.R_OK)
