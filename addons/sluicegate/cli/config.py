"""`sluicegate check` and `sluicegate schema`: what a configuration may say, and whether one is right."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sluicegate.cli.places import fail
from sluicegate.settings import ConfigError, load, refuse_unavailable

__all__ = ["check", "schema"]


def check(file: Annotated[Path, typer.Argument(help="Configuration file (YAML).")]) -> None:
    """Check a configuration: say what is wrong with file, line and key, or nothing."""
    try:
        settings = load(file, os.environ)
        refuse_unavailable(settings, file, os.environ)
    except ConfigError as e:
        fail(str(e))
    except OSError as e:
        fail(f"cannot read {file}: {e.strerror}")
    problems = settings.check_secrets(os.environ)
    for problem in problems:
        typer.echo(f"sluicegate: {problem}", err=True)
    if problems:
        raise typer.Exit(2)
    typer.echo(f"{file}: fine")


def schema() -> None:
    """Print the configuration's JSON Schema."""
    from sluicegate.settings.schema import main

    main()
