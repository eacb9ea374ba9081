"""What every key store promises, on all of them."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from sluicegate.core.errors import StoreError
from sluicegate.core.identity.keys import (
    KeyFault,
    KeyRecord,
    paused,
    revoked,
)
from sluicegate.stores.keys.base import KeyStore, NoSuchKey

type OpenStore = Callable[[], KeyStore]


def record(number: int = 1, **about: Any) -> KeyRecord:
    return KeyRecord(id=f"key_{number}", digest=bytes([number]) * 32, created_at=float(number), **about)


FULL: dict[str, Any] = {
    "name": "laptop",
    "team": "a",
    "user": "ü",
    "project": "p",
    "tags": {"cost_center": "4711", "x": "'; DROP TABLE keys; --"},
    "models": ("claude-haiku-*",),
    "budget_usd": {"month": 50.5},
    "expires_at": 1e9,
    "revoked_at": 2e9,
    "paused_at": 3e9,
    "previous": b"\0\xff" * 16,
    "previous_until": 4e9,
}


def test_a_record_comes_back_as_it_was(opened: OpenStore) -> None:
    """All of its fields, in another connection too, oldest first."""
    store = opened()
    store.add(record(2))
    store.add(record(1, **FULL))
    assert opened().all() == store.all() == [record(1, **FULL), record(2)]


def test_no_key_is_there_twice(opened: OpenStore) -> None:
    """Neither the id nor the hash; the first one stays, and the version with it."""
    store = opened()
    store.add(record(1, name="first"))
    before = store.version()
    for twin in (record(1), KeyRecord(id="key_9", digest=bytes([1]) * 32, created_at=0)):
        with pytest.raises(StoreError, match="exists already"):
            store.add(twin)
    assert [r.name for r in store.all()] == ["first"]
    assert store.version() == before


def test_each_change_moves_the_version_on(opened: OpenStore) -> None:
    """Seen from another connection; reading does not."""
    store, other = opened(), opened()
    seen = [other.version()]
    store.add(record())
    seen.append(other.version())
    store.change("key_1", lambda r: paused(r, 5.0))
    seen.append(other.version())
    assert len(set(seen)) == 3
    other.all()
    assert other.version() == seen[-1]
    assert other.all()[0].paused_at == 5.0


def test_a_change_that_fails_changes_nothing(opened: OpenStore) -> None:
    """The record and the version are as before, and the store goes on."""
    store = opened()
    store.add(record())
    store.change("key_1", lambda r: revoked(r, 1.0))
    before = store.version(), store.all()
    with pytest.raises(KeyFault):
        store.change("key_1", lambda r: paused(r, 2.0))
    with pytest.raises(NoSuchKey, match="keys list"):
        store.change("key_2", lambda r: r)
    assert (store.version(), store.all()) == before


def test_changes_at_the_same_time_all_count(opened: OpenStore) -> None:
    """Eight writers, each with a connection of its own, add to one record: nothing is lost."""
    store = opened()
    store.add(record(tags={"n": "0"}))
    version = store.version()

    def one_more(r: KeyRecord) -> KeyRecord:
        return record(tags={"n": str(int(r.tags["n"]) + 1)})

    def write(mine: Any) -> None:
        for _ in range(5):
            mine.change("key_1", one_more)

    threads = [threading.Thread(target=write, args=(opened(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.all()[0].tags == {"n": "40"}
    assert store.version() == version + 40


def test_the_first_server_key_is_the_one(opened: OpenStore) -> None:
    """A gate with another server key gets an error."""
    assert opened().claim("one")
    assert not opened().claim("two")
    assert opened().claim("one")


def test_gates_that_start_at_once_agree(opened: OpenStore) -> None:
    """The tables are made once; of several server keys one is the first."""
    ready = threading.Barrier(4)
    claimed: list[bool] = []
    faults: list[BaseException] = []

    def start(name: str) -> None:
        ready.wait()
        try:
            claimed.append(opened().claim(name))
        except BaseException as e:
            faults.append(e)

    threads = [threading.Thread(target=start, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert sorted(claimed) == [False, False, False, True]
