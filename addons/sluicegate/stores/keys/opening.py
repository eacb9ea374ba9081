"""From a configuration to its key store and server key: for gates and for the commands that change keys."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from sluicegate.core.errors import StoreError
from sluicegate.settings import Settings
from sluicegate.stores.keys.base import KeyStore, open_store
from sluicegate.stores.keys.server_key import fingerprint, kept_key

__all__ = ["open_keys", "server_key_of"]


def server_key_of(settings: Settings, environ: Mapping[str, str]) -> bytes:
    """identity.hash_key where one is configured, else the state folder's own. Raises StoreError, SecretError."""
    if hash_key := settings.identity.hash_key:
        return hashlib.sha256(hash_key.resolve(environ).encode()).digest()
    return kept_key(settings.state_dir.expanduser())


def open_keys(settings: Settings, server_key: bytes) -> KeyStore:
    """The store, if its keys are hashed with this server key. Raises StoreError."""
    store = open_store(settings.state_dir.expanduser(), settings.audit.ledger)
    try:
        if not store.claim(fingerprint(server_key)):
            raise StoreError(
                "the stored keys belong to another server key; give all gates and commands the same identity.hash_key, "
                "or the state folder's identity.key back"
            )
    except StoreError:
        store.close()
        raise
    return store
