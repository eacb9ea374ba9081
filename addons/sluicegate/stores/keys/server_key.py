"""The server key: credentials are hashed with it before they are stored or named. Created once, mode 0600, never shown."""

from __future__ import annotations

import hmac
import os
from pathlib import Path
from typing import Final

from sluicegate.core.errors import StoreError

__all__ = ["FILE", "fingerprint", "load_or_create_server_key"]

FILE: Final = "identity.key"
_BYTES: Final = 32


def load_or_create_server_key(state_dir: Path) -> bytes:
    """The key of this state folder, created if there is none. Raises StoreError."""
    path = state_dir / FILE
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        key = bytes.fromhex(path.read_text("ascii").strip())
    except OSError as e:
        raise StoreError(f"{path}: {e.strerror}; make the gate's user the owner of the state folder") from e
    except ValueError:
        key = b""
    if len(key) < _BYTES:
        raise StoreError(f"{path} does not hold a key; restore it, or remove it together with keys.sqlite to start over")
    return key


def _make(path: Path) -> None:
    """Write a draft, then link it into place: of two processes that start at once, both use the first one's key."""
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, os.urandom(_BYTES).hex().encode() + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)


def fingerprint(server_key: bytes) -> str:
    """Distinguishes two server keys and reveals nothing else about them."""
    return hmac.digest(server_key, b"fingerprint", "sha256").hex()
