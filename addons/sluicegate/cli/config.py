"""`sluicegate check` and `sluicegate schema`: validate a configuration, and describe the valid ones."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from sluicegate.cli.places import fail
from sluicegate.core.limits.refusals import in_force
from sluicegate.core.limits.rules import configured_counters
from sluicegate.settings import ConfigError, load_with_origins
from sluicegate.settings.ending_models import ending_models
from sluicegate.settings.errors import raise_all

__all__ = ["check", "schema"]


def check(
    file: Annotated[Path, typer.Argument(help="Configuration file (YAML).")],
    without_secrets: Annotated[
        bool, typer.Option("--without-secrets", help="Do not require the secrets that the file refers to (for CI).")
    ] = False,
) -> None:
    """Validate a configuration; report errors with file, line and key, and list the limits in force."""
    try:
        settings, origins = load_with_origins(file, os.environ)
        missing = settings.check_secrets(os.environ, origins)
        if not without_secrets:
            raise_all(missing)
    except ConfigError as e:
        fail(e.report())
    typer.echo(f"{file}: fine")
    for error in missing:
        typer.echo(f"not checked: {error}")
    for name, provider in settings.providers.items():
        if variable := provider.key_variable:
            typer.echo(f"providers.{name}: {variable} is not set; clients must send their own API key")
    for where, model, end in ending_models(settings):
        when = "reached its end of life" if end < date.today() else "reaches its end of life"
        typer.echo(f"{where}: {model} {when} at Anthropic on {end}; name a newer model")
    for counter in configured_counters(settings.limits):
        typer.echo(f"{counter.name}: {in_force(counter)}")


def schema() -> None:
    """Print the configuration's JSON Schema."""
    from sluicegate.settings.schema import rendered

    typer.echo(rendered(), nl=False)
