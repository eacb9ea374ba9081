"""The state folder, created with mode 0700 if it is missing."""

from __future__ import annotations

from pathlib import Path

from sluicegate.settings import Settings

__all__ = ["state_folder"]


def state_folder(settings: Settings) -> Path:
    """Where state lives; created with mode 0700 if it is missing."""
    path = settings.state_dir.expanduser()
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path
