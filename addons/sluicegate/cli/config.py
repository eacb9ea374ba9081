"""`sluicegate check` and `sluicegate schema`: validate a configuration, and describe the valid ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sluicegate.cli.places import fail
from sluicegate.settings import ConfigError, load_usable

__all__ = ["check", "schema"]


def check(file: Annotated[Path, typer.Argument(help="Configuration file (YAML).")]) -> None:
    """Validate a configuration; report errors with file, line and key."""
    try:
        settings = load_usable(file, os.environ)
    except ConfigError as e:
        fail(e.report())
    typer.echo(f"{file}: fine")
    for name, provider in settings.providers.items():
        if variable := provider.key_variable:
            typer.echo(f"providers.{name}: {variable} is not set; clients must send their own API key")


def schema() -> None:
    """Print the configuration's JSON Schema."""
    from sluicegate.settings.schema import rendered

    typer.echo(rendered(), nl=False)
