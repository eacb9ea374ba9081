"""The server key: what credentials are hashed with before they are kept or named. Made once, 0600, never shown."""

from __future__ import annotations

import hmac
import os
from pathlib import Path
from typing import Final

from sluicegate.core.errors import StoreError

__all__ = ["FILE", "fingerprint", "kept_key"]

FILE: Final = "identity.key"
_BYTES: Final = 32


def kept_key(state_dir: Path) -> bytes:
    """The key of this state folder, made where there is none. Raises StoreError."""
    path = state_dir / FILE
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        key = bytes.fromhex(path.read_text("ascii").strip())
    except OSError as e:
        raise StoreError(f"{path}: {e.strerror}; give the state folder to the user that runs the gate") from e
    except ValueError:
        key = b""
    if len(key) < _BYTES:
        raise StoreError(f"{path} holds no key; restore it, or remove it together with keys.sqlite to begin anew")
    return key


def _make(path: Path) -> None:
    """Written whole under another name first: of two processes that start at once, both use the first one's."""
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
    """Tells two server keys apart, and nothing else about them."""
    return hmac.digest(server_key, b"fingerprint", "sha256").hex()
