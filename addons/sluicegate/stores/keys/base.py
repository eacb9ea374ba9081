"""What a key store does, and which one a configuration means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from sluicegate.core.errors import StoreError
from sluicegate.core.identity.keys import KeyRecord

__all__ = ["KeyStore", "NoSuchKey", "decoded", "encoded", "open_store"]


class NoSuchKey(StoreError):
    """No key has this id."""


class KeyStore(Protocol):
    """Records of virtual keys. Methods block and may be called from any thread; they raise StoreError.

    Each change is one transaction, and moves `version` on in the same.
    """

    def add(self, record: KeyRecord) -> None:
        """Raises StoreError where the id or the key is there already."""

    def all(self) -> list[KeyRecord]:
        """Every record, oldest first."""

    def change(self, key_id: str, fn: Callable[[KeyRecord], KeyRecord]) -> KeyRecord:
        """Replace a record by what `fn` makes of it, nobody else meanwhile. Raises NoSuchKey, and what `fn` raises."""

    def version(self) -> int:
        """Another number than before whenever something has changed, by whomever. Cheap: asked every second."""

    def claim(self, fingerprint: str) -> bool:
        """Whether the records are hashed under the server key of this fingerprint. The first to ask decides."""

    def close(self) -> None: ...


def open_store(state_dir: Path, ledger: str) -> KeyStore:
    """Keys live where the ledger lives: in PostgreSQL where that is one, else in the state folder. Raises StoreError."""
    if ledger.startswith(("postgres://", "postgresql://")):
        from sluicegate.stores.keys.postgres import PostgresKeys

        return PostgresKeys(ledger)
    from sluicegate.stores.keys.sqlite import SqliteKeys

    return SqliteKeys(state_dir / "keys.sqlite")


_DECODER: Final = msgspec.json.Decoder(KeyRecord)


def encoded(record: KeyRecord) -> str:
    """A record as JSON text; hashes in base64."""
    return msgspec.json.encode(record).decode()


def decoded(text: str) -> KeyRecord:
    """Raises StoreError for what is no record."""
    try:
        return _DECODER.decode(text)
    except msgspec.DecodeError as e:
        raise StoreError("a stored key can not be read: it was written by another version, or by hand") from e
