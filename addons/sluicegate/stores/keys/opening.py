"""From a configuration to its key store and server key: for gates and for the commands that change keys."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from sluicegate.core.errors import StoreError
from sluicegate.settings import Settings
from sluicegate.stores.keys.base import KeyStore
from sluicegate.stores.keys.server_key import fingerprint, load_or_create_server_key
from sluicegate.stores.urls import parse_store_url

__all__ = ["open_keys", "open_store", "server_key_of"]


def server_key_of(settings: Settings, environ: Mapping[str, str]) -> bytes:
    """identity.hash_key if it is configured, else the state folder's own key. Raises StoreError, SecretError."""
    if hash_key := settings.identity.hash_key:
        return hashlib.sha256(hash_key.resolve(environ).encode()).digest()
    return load_or_create_server_key(settings.state_dir.expanduser())


def open_store(state_dir: Path, ledger: str) -> KeyStore:
    """`audit.ledger` decides: PostgreSQL if it is a postgresql:// URL, else `keys.sqlite` in the state folder, whatever the
    ledger's own path is. Raises StoreError."""
    if parse_store_url(ledger).kind == "postgresql":
        from sluicegate.stores.keys.postgres import PostgresKeys

        return PostgresKeys(ledger)
    from sluicegate.stores.keys.sqlite import SqliteKeys

    return SqliteKeys(state_dir / "keys.sqlite")


def open_keys(settings: Settings, server_key: bytes) -> KeyStore:
    """The store, if its keys are hashed with this server key. Raises StoreError."""
    store = open_store(settings.state_dir.expanduser(), settings.audit.ledger)
    try:
        if not store.claim(fingerprint(server_key)):
            raise StoreError(
                "the stored keys are hashed with another server key; give all gates and commands the same "
                "identity.hash_key, or restore identity.key in the state folder"
            )
    except StoreError:
        store.close()
        raise
    return store
