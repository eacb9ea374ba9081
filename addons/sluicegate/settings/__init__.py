"""The configuration: typed, immutable, strict; every fault with its key, file and line."""

from sluicegate.settings.errors import ConfigError
from sluicegate.settings.providers import PRESETS, Provider
from sluicegate.settings.reading.load import load, load_with_origins
from sluicegate.settings.reading.node import Origins
from sluicegate.settings.reading.usable import load_usable
from sluicegate.settings.secret import Secret, SecretError
from sluicegate.settings.tree import Settings

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
