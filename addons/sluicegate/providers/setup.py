"""What a provider is made from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sluicegate.settings.provider import Provider as Settings

__all__ = ["Setup"]


@dataclass(frozen=True, slots=True)
class Setup:
    """One entry under `providers`, and what of the rest concerns it."""

    name: str
    settings: Settings
    environ: Mapping[str, str]
    unsupported: Literal["refuse", "drop"] = "refuse"
    """`translate.unsupported`."""
    state_dir: Path | None = None
    clock: Callable[[], float] = time.time

    def resolved_keys(self) -> list[str]:
        """The configured keys themselves. Raises SecretError; may read files and run commands."""
        return [key.resolve(self.environ) for key in self.settings.keys]
