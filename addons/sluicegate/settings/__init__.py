"""The configuration: typed, immutable, strict; every fault with its key, file and line."""

from .errors import ConfigError
from .load import load, load_with_origins
from .node import Origins
from .provider import PRESETS, Provider
from .secret import Secret, SecretError
from .tree import Settings
from .usable import load_usable

__all__ = [
    "PRESETS",
    "ConfigError",
    "Origins",
    "Provider",
    "Secret",
    "SecretError",
    "Settings",
    "load",
    "load_usable",
    "load_with_origins",
]
