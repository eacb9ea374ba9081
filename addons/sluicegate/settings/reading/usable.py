"""The whole way from a file to settings that can be put in force."""

from collections.abc import Mapping
from pathlib import Path

from sluicegate.settings.errors import raise_all
from sluicegate.settings.reading.load import load_with_origins
from sluicegate.settings.tree import Settings


def load_usable(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Load, and see that every secret is there. Raises ConfigError."""
    settings, origins = load_with_origins(path, environ)
    raise_all(settings.check_secrets(environ, origins))
    return settings
