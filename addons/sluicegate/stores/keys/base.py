"""The protocol of key stores, and the JSON text of a stored record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from sluicegate.core.errors import StoreError
from sluicegate.core.identity.keys import KeyRecord

__all__ = ["KeyStore", "NoSuchKey", "decoded", "encoded"]


class NoSuchKey(StoreError):
    """No key has this id."""


class KeyStore(Protocol):
    """Records of virtual keys. Methods block and may be called from any thread; they raise StoreError.

    Each change is one transaction, which changes `version` as well.
    """

    def add(self, record: KeyRecord) -> None:
        """Raises StoreError if the id or the key exists already."""

    def all(self) -> list[KeyRecord]:
        """Every record, oldest first."""

    def change(self, key_id: str, fn: Callable[[KeyRecord], KeyRecord]) -> KeyRecord:
        """Replace a record by what `fn` returns for it, atomically. Raises NoSuchKey, and what `fn` raises."""

    def version(self) -> int:
        """A number that every change makes another one, whichever process made it. Cheap: asked twice a second."""

    def claim(self, fingerprint: str) -> bool:
        """Whether the records are hashed with the server key of this fingerprint. The first call decides it."""

    def close(self) -> None: ...


_DECODER: Final = msgspec.json.Decoder(KeyRecord)


def encoded(record: KeyRecord) -> str:
    """A record as JSON text; hashes in base64."""
    return msgspec.json.encode(record).decode()


def decoded(text: str) -> KeyRecord:
    """Raises StoreError if the text is not a record."""
    try:
        return _DECODER.decode(text)
    except msgspec.DecodeError as e:
        raise StoreError("a stored key cannot be read: another version wrote it, or it was edited by hand") from e
