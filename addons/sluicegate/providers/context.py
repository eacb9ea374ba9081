"""What a provider is built from: its configuration, the environment, and a source of keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sluicegate.providers.base import Key
from sluicegate.settings.providers import Provider as Settings
from sluicegate.settings.secret import Secret

__all__ = ["ProviderContext", "StaticKey"]


@dataclass(frozen=True, slots=True)
class StaticKey:
    """A key that never changes."""

    name: str
    value: str = field(repr=False)

    def ask_again(self) -> None:
        """It has no other value."""


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """One entry under `providers`, with the other settings that concern it."""

    name: str
    settings: Settings
    environ: Mapping[str, str]
    unsupported: Literal["refuse", "drop"] = "refuse"
    """`translate.unsupported`."""
    state_dir: Path | None = None
    clock: Callable[[], float] = time.time
    hold: Callable[[str, Secret], Key] | None = None
    """Reads a key and keeps it up to date; None: keys are read once."""

    def keys(self) -> list[Key]:
        """The configured keys. Raises SecretError; may read files and run commands."""
        many = len(self.settings.keys) > 1
        return [self.key(f"{self.name}#{i}" if many else self.name, k) for i, k in enumerate(self.settings.keys, 1)]

    def key(self, name: str, secret: Secret) -> Key:
        """One secret. Raises SecretError."""
        return self.hold(name, secret) if self.hold else StaticKey(name, secret.resolve(self.environ))
