"""What is particular to keys in a file."""

import sqlite3
from pathlib import Path

import pytest

from sluicegate.core.errors import StoreError
from sluicegate.core.identity.keys import KeyRecord
from sluicegate.stores.keys.sqlite import SqliteKeys


def test_the_file_is_its_owners(tmp_path: Path) -> None:
    """0600 with its companions, 0700 the folder; a file that was open to others is closed to them."""
    path = tmp_path / "state" / "keys.sqlite"
    store = SqliteKeys(path)
    store.add(KeyRecord(id="key_1", digest=b"d", created_at=0))
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == {"keys.sqlite": 0o600, "keys.sqlite-wal": 0o600, "keys.sqlite-shm": 0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700
    store.close()
    path.chmod(0o644)
    SqliteKeys(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """With its path, and not overwritten."""
    path = tmp_path / "keys.sqlite"
    path.write_text("something else entirely" * 50)
    with pytest.raises(StoreError, match=r"keys\.sqlite: file is not a database"):
        SqliteKeys(path)
    assert "something else" in path.read_text()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """An attacker may have created it."""
    (tmp_path / "keys.sqlite").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        SqliteKeys(tmp_path / "keys.sqlite")
    assert not (tmp_path / "elsewhere").exists()


def test_a_record_that_can_not_be_read_is_said(tmp_path: Path) -> None:
    """As a StoreError that does not quote it."""
    store = SqliteKeys(tmp_path / "keys.sqlite")
    with sqlite3.connect(tmp_path / "keys.sqlite") as db:
        db.execute("INSERT INTO keys VALUES ('key_1', 'x', 0, '{\"id\": 1}')")
    with pytest.raises(StoreError, match="cannot be read"):
        store.all()
    store.close()
