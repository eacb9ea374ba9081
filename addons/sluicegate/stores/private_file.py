"""A database file that only its owner reads, made before SQLite opens it: the files beside it take over its mode."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Final

__all__ = ["ensure_private"]

_ONE_AT_A_TIME: Final = threading.Lock()


def ensure_private(path: Path) -> None:
    """Make an empty file that only the owner may read, where there is none. Raises OSError.

    A file that exists is not opened: closing it again would drop the locks that SQLite holds on it for this process, and
    whichever process ends next would take itself for the last one and remove the log from under all others
    (sqlite.org, "How To Corrupt An SQLite Database File", 2.2).
    """
    with _ONE_AT_A_TIME, contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
