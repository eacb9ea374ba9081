"""The state folder, made with mode 0700 where it is missing."""

from __future__ import annotations

from pathlib import Path

from sluicegate.settings import Settings

__all__ = ["state_folder"]


def state_folder(settings: Settings) -> Path:
    """Where state lives; made 0700 where it is not there."""
    path = settings.state_dir.expanduser()
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path
