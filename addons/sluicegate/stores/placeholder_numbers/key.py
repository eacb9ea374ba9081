"""The scrub key: 32 bytes with which the digests and names of hidden values are made."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Final

from sluicegate.core.errors import StoreError

__all__ = ["load_or_create_key", "parse_key"]

_HEX: Final = re.compile(r"[0-9A-Fa-f]{64}")
MALFORMED: Final = "a scrub key is 64 hexadecimal characters (make one with: openssl rand -hex 32)"


def parse_key(written: str) -> bytes:
    """ValueError, which does not quote it, where it is none."""
    if not _HEX.fullmatch(written):
        raise ValueError(MALFORMED)
    return bytes.fromhex(written)


def load_or_create_key(folder: Path) -> bytes:
    """The key in `scrub.key` in this folder; made the first time, readable by its owner alone. StoreError, ValueError."""
    path = folder / "scrub.key"
    try:
        if not path.exists():
            _make(path)
        return parse_key(path.read_text("ascii").strip())
    except OSError as e:
        raise StoreError(f"{path} can not be used: {e.strerror}; set scrub.key in the configuration") from e
    except ValueError as e:
        raise ValueError(f"{path}: {MALFORMED}; remove the file, and a new one is made") from e


def _make(path: Path) -> None:
    """Written beside its place and linked there: of several processes that start at once, one wins, with a whole file."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "w", encoding="ascii") as f:
            f.write(os.urandom(32).hex() + "\n")
            f.flush()
            os.fsync(f.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
