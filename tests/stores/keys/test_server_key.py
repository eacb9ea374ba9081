"""The server key: made once, its owner's alone, the same for gates and commands."""

import threading
from pathlib import Path

import pytest

from sluicegate.core.errors import StoreError
from sluicegate.core.identity.keys import KeyRecord
from sluicegate.settings import Settings
from sluicegate.settings.identity import Identity
from sluicegate.settings.secret import Secret
from sluicegate.stores.keys.opening import open_keys, server_key_of
from sluicegate.stores.keys.server_key import FILE, fingerprint, load_or_create_server_key


def test_made_once_and_closed_to_others(tmp_path: Path) -> None:
    """32 random bytes, 0600; the next one who asks gets the same. One that was open is closed."""
    key = load_or_create_server_key(tmp_path / "state")
    path = tmp_path / "state" / FILE
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    assert load_or_create_server_key(tmp_path / "state") == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create_server_key(tmp_path / "another") != key
    assert [p.name for p in path.parent.iterdir()] == [FILE]


def test_who_comes_at_once_gets_the_same(tmp_path: Path) -> None:
    """Eight threads on an empty folder."""
    ready, keys = threading.Barrier(8), list[bytes]()

    def start() -> None:
        ready.wait()
        keys.append(load_or_create_server_key(tmp_path))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


@pytest.mark.parametrize("text", ["", "abc", "zz" * 32, "00" * 31])
def test_a_broken_one_is_said_and_kept(tmp_path: Path, text: str) -> None:
    """A new one in its place would turn all keys away."""
    (tmp_path / FILE).write_text(text)
    with pytest.raises(StoreError, match="does not hold a key"):
        load_or_create_server_key(tmp_path)
    assert (tmp_path / FILE).read_text() == text


def test_a_configured_one_comes_first(tmp_path: Path) -> None:
    """From its reference; nothing is written."""
    settings = Settings(state_dir=tmp_path, identity=Identity(hash_key=Secret("env:H")))
    assert server_key_of(settings, {"H": "one"}) == server_key_of(settings, {"H": "one"})
    assert server_key_of(settings, {"H": "one"}) != server_key_of(settings, {"H": "two"})
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_another_server_key_is_refused(tmp_path: Path) -> None:
    """Its keys would all be unknown; say why instead."""
    settings = Settings(state_dir=tmp_path)
    store = open_keys(settings, b"1" * 32)
    store.add(KeyRecord(id="key_1", digest=b"d", created_at=0))
    store.close()
    with pytest.raises(StoreError, match=r"identity\.hash_key"):
        open_keys(settings, b"2" * 32)
    open_keys(settings, b"1" * 32).close()


def test_a_fingerprint_gives_nothing_away() -> None:
    """Neither the key nor a part of it."""
    assert fingerprint(b"1" * 32) != fingerprint(b"2" * 32)
    assert (b"1" * 32).hex() not in fingerprint(b"1" * 32)
