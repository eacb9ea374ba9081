"""Who else uses a file: each process holds a lock beside it as long as it runs, which goes with it however it ends.

Nothing depends on the answer but speed.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from pathlib import Path
from typing import Final

try:
    import fcntl
except ImportError:  # Windows: nobody is ever alone
    fcntl = None  # type: ignore[assignment]

__all__ = ["Presence"]

_HERE: Final[Counter[Path]] = Counter()
"""How often this process uses a file: its own locks do not stand in each other's way."""


class Presence:
    """This process's mark beside a file."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._path = path.with_name(f"{path.name}-users")
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _HERE[self._path] += 1
        self._mark()

    def is_alone(self) -> bool:
        """Whether nobody else uses it. Two system calls."""
        if fcntl is None or _HERE[self._path] > 1:
            return False
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._mark()
            return False
        self._mark()
        return True

    def _mark(self) -> None:
        """Shared with all others. One that is just finding out that it is alone is in the way: the next call gets it."""
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def close(self) -> None:
        _HERE[self._path] -= 1
        os.close(self._fd)
