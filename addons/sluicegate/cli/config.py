"""`sluicegate check` and `sluicegate schema`: what a configuration may say, and whether one is right."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sluicegate.cli.places import fail
from sluicegate.settings import ConfigError, load_usable

__all__ = ["check", "schema"]


def check(file: Annotated[Path, typer.Argument(help="Configuration file (YAML).")]) -> None:
    """Check a configuration: say what is wrong with file, line and key."""
    try:
        load_usable(file, os.environ)
    except ConfigError as e:
        fail(e.report())
    typer.echo(f"{file}: fine")


def schema() -> None:
    """Print the configuration's JSON Schema."""
    from sluicegate.settings.schema import rendered

    typer.echo(rendered(), nl=False)
