"""A database file that only its owner can read, created before SQLite opens it: its journal files get the same mode."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Final

__all__ = ["ensure_private"]

_ONE_AT_A_TIME: Final = threading.Lock()


def ensure_private(path: Path) -> None:
    """Create an empty file that only the owner may read, if there is none. Raises OSError.

    An existing file is not opened: closing it would drop the locks that SQLite holds on it for this process, and the
    next process to end would take itself for the last one and remove the log that the others still use
    (sqlite.org, "How To Corrupt An SQLite Database File", 2.2).
    """
    with _ONE_AT_A_TIME, contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
