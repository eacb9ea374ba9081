"""Keys in memory: what a command changes is known to a running gate, and a store that is down takes no key away."""

from collections.abc import Callable
from typing import Any

from kits.gatekit import wait_until
from sluicegate.core.errors import StoreError
from sluicegate.core.identity.keys import KeyRecord, revoked, rotated
from sluicegate.stores.keys.base import KeyStore
from sluicegate.stores.keys.ring import KeyRing

type OpenStore = Callable[[], KeyStore]

RECORD = KeyRecord(id="key_1", digest=b"1" * 32, created_at=0)


def test_changes_of_others_arrive(opened: OpenStore) -> None:
    """Added, rotated and revoked through another connection while the ring runs."""
    ring, other = KeyRing(opened(), print), opened()
    ring.start()
    try:
        assert ring.by_digest == {}
        other.add(RECORD)
        wait_until(lambda: ring.by_digest.get(b"1" * 32), "the new key")
        other.change("key_1", lambda r: rotated(r, b"2" * 32, 1.0, 60.0))
        wait_until(lambda: ring.by_digest.get(b"2" * 32), "the rotated key")
        assert ring.by_digest[b"1" * 32].previous_until == 61.0
        other.change("key_1", lambda r: revoked(r, 2.0))
        wait_until(lambda: ring.by_digest[b"2" * 32].revoked_at, "the revocation")
    finally:
        ring.close()


def test_what_has_not_changed_is_not_read(opened: OpenStore) -> None:
    """One query of the version per check."""
    store = opened()
    store.add(RECORD)
    ring = KeyRing(store, print)
    before = ring.by_digest
    assert ring.refresh() is False
    assert ring.by_digest is before


class Flaky:
    """A store that is down while `error` is set."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def version(self) -> int:
        if self.error:
            raise self.error
        return 1

    def all(self) -> list[KeyRecord]:
        return [RECORD]

    def close(self) -> None: ...


def test_an_outage_is_reported_once_and_the_known_keys_apply() -> None:
    """Whatever it raises; a second outage, after a recovery, is reported again."""
    store: Any = Flaky()
    reported: list[str] = []
    ring = KeyRing(store, reported.append)
    ring.start()
    try:
        for count, error in enumerate((StoreError("gone"), KeyError("a bug")), 1):
            store.error = error
            wait_until(lambda n=count: len(reported) == n, "the error is reported")
            assert list(ring.by_digest) == [RECORD.digest]
            store.error = None
            wait_until(lambda: ring._error is None, "the ring has recovered")
    finally:
        ring.close()
    assert reported == ["gone", "KeyError"]
