"""Encryption of kept bodies: AES-256-GCM, bound to the entry's key, so that no body can stand under another one."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from typing import Final

import msgspec

from sluicegate.stores.cache.base import Entry

__all__ = ["Sealing"]

_NONCE: Final = 12
_SALT: Final = b"sluicegate cache body 1"


class Sealing:
    """`secret`: any text; scrypt makes a key of it (once, 50 ms). Without one, bodies are kept as they are."""

    def __init__(self, secret: str | None) -> None:
        self._aead = None
        if secret is not None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            self._aead = AESGCM(hashlib.scrypt(secret.encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=32))

    @property
    def on(self) -> bool:
        return self._aead is not None

    def seal(self, entry: Entry) -> Entry:
        """As it may be kept. What quotes a body goes."""
        if self._aead is None:
            return entry
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._aead.encrypt(nonce, entry.body, entry.key.encode())
        return replace(entry, body=sealed, head=msgspec.structs.replace(entry.head, sealed=True, snippet=""))

    def open(self, entry: Entry) -> Entry | None:
        """As it was; None where it cannot be read with this key."""
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
