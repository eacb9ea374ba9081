"""The whole way from a file to settings that this version can put in force."""

from collections.abc import Mapping
from pathlib import Path

from .errors import raise_all
from .features import refuse_unavailable
from .load import load_with_origins
from .tree import Settings


def load_usable(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Load, refuse what this version does not have, and see that every secret is there. Raises ConfigError."""
    settings, origins = load_with_origins(path, environ)
    refuse_unavailable(settings, origins)
    raise_all(settings.check_secrets(environ, origins))
    return settings
