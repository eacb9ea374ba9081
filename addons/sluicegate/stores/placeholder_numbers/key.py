"""The scrub key: 32 bytes that key the digests and hashed names of hidden values."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Final

from sluicegate.core.errors import StoreError

__all__ = ["load_or_create_key", "parse_key"]

_HEX: Final = re.compile(r"[0-9A-Fa-f]{64}")
MALFORMED: Final = "a scrub key must be 64 hexadecimal characters (create one with: openssl rand -hex 32)"


def parse_key(written: str) -> bytes:
    """Raises ValueError, without quoting the text, if it is malformed."""
    if not _HEX.fullmatch(written):
        raise ValueError(MALFORMED)
    return bytes.fromhex(written)


def load_or_create_key(folder: Path) -> bytes:
    """The key in the file `scrub.key`, created on first use with mode 0600. Raises StoreError and ValueError."""
    path = folder / "scrub.key"
    try:
        if not path.exists():
            _make(path)
        return parse_key(path.read_text("ascii").strip())
    except OSError as e:
        raise StoreError(f"{path} cannot be used: {e.strerror}; set scrub.key in the configuration") from e
    except ValueError as e:
        raise ValueError(f"{path}: {MALFORMED}; delete the file to create a new key") from e


def _make(path: Path) -> None:
    """Write a temporary file and link it: if several processes start at once, one wins, with a complete file."""
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
