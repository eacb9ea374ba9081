"""Detects whether other processes use a file: each holds a lock beside it, which the system releases however it ends.

Only speed depends on the answer.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from pathlib import Path
from typing import Final

try:
    import fcntl
except ImportError:  # Windows: always assume other users
    fcntl = None  # type: ignore[assignment]

__all__ = ["Presence"]

_HERE: Final[Counter[Path]] = Counter()
"""Users of each file in this process: locks of one process do not conflict with each other."""


class Presence:
    """The lock of one user of a file."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._path = path.with_name(f"{path.name}-users")
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _HERE[self._path] += 1
        self._share()

    def is_alone(self) -> bool:
        """Whether this is the only user. Takes two system calls."""
        if fcntl is None or _HERE[self._path] > 1:
            return False
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._share()
            return False
        self._share()
        return True

    def _share(self) -> None:
        """Take the shared lock. Another process in `is_alone` can prevent it; then the next call takes it."""
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def close(self) -> None:
        _HERE[self._path] -= 1
        os.close(self._fd)
