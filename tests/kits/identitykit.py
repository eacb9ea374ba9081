"""Chains whose callers need keys, and what callers present: for tests of Identity in one process."""

import base64
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sluicegate.core.identity.keys import KeyRecord, digest_of, new_key
from sluicegate.gate.chain import Chain
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.settings.identity import Identity as IdentitySettings
from sluicegate.settings.identity import VirtualKey
from sluicegate.settings.secret import Secret
from sluicegate.stages import Identity, Router
from sluicegate.stages.base import Stage
from sluicegate.stores.keys.opening import open_keys, server_key_of
from sluicegate.testing import chain_of, quiet

Header = tuple[bytes, bytes]

KEY = new_key(b"k" * 32)
STATIC = "team-a-static-key-of-the-config"
ENVIRON = {"KEY_A": STATIC, "ANTHROPIC": "sk-ant-api03-of-the-gate", "ADMIN": "the-admin-token"}


def x_api_key(key: str = KEY) -> Header:
    return b"x-api-key", key.encode()


def bearer(key: str = KEY) -> Header:
    return b"authorization", b"Bearer " + key.encode()


def at_proxy(key: str = KEY, user: str = "anybody") -> Header:
    return b"proxy-authorization", b"Basic " + base64.b64encode(f"{user}:{key}".encode())


def settings_for(state: Path, mode: str = "keys", **identity: Any) -> Settings:
    if mode == "keys":
        identity.setdefault("keys", (VirtualKey(key=Secret("env:KEY_A"), team="a", tags={"cost_center": "4711"}),))
    given: dict[str, Any] = {"mode": mode, **identity}
    return quiet(state_dir=state, identity=IdentitySettings(**given))


def store_key(settings: Settings, key: str = KEY, **about: Any) -> KeyRecord:
    """Put a key into the store, as `sluicegate keys add` does."""
    server_key = server_key_of(settings, ENVIRON)
    number = digest_of(server_key, key.encode()).hex()[:12]
    given = {"id": f"key_{number}", "created_at": time.time(), **about}
    record = KeyRecord(digest=digest_of(server_key, key.encode()), **given)
    store = open_keys(settings, server_key)
    store.add(record)
    store.close()
    return record


@contextmanager
def gate(settings: Settings, *stages: type[Stage]) -> Generator[Chain, None, None]:
    """A Chain with Identity and Router (or these stages), its threads ended afterwards."""
    services = Services(ENVIRON)
    try:
        with chain_of(*(stages or (Identity, Router)), settings=settings, services=services) as chain:
            yield chain
    finally:
        services.close()
