"""Encryption of stored bodies: AES-256-GCM, bound to the entry's key, so a body cannot be moved to another entry."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from typing import Final

import msgspec

from sluicegate.stores.cache.base import Entry

__all__ = ["BodyEncryption"]

_NONCE: Final = 12
_SALT: Final = b"sluicegate cache body 1"


class BodyEncryption:
    """`secret`: any text; scrypt derives a key from it (once, 50 ms). Without it, bodies are stored in the clear."""

    def __init__(self, secret: str | None) -> None:
        self._aead = None
        if secret is not None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            self._aead = AESGCM(hashlib.scrypt(secret.encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=32))

    @property
    def on(self) -> bool:
        return self._aead is not None

    def encrypt(self, entry: Entry) -> Entry:
        """The entry to be stored; its snippet is removed, because it quotes the prompt."""
        if self._aead is None:
            return entry
        nonce = os.urandom(_NONCE)
        encrypted = nonce + self._aead.encrypt(nonce, entry.body, entry.key.encode())
        return replace(entry, body=encrypted, head=msgspec.structs.replace(entry.head, sealed=True, snippet=""))

    def decrypt(self, entry: Entry) -> Entry | None:
        """The original entry; None if it cannot be decrypted with this key."""
        if not entry.head.sealed:
            return entry
        if self._aead is None:
            return None
        from cryptography.exceptions import InvalidTag

        try:
            body = self._aead.decrypt(entry.body[:_NONCE], entry.body[_NONCE:], entry.key.encode())
        except (InvalidTag, ValueError):
            return None
        return replace(entry, body=body)
