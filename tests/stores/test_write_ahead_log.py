"""stores/write_ahead_log.py: processes that open a new file at the same moment."""

import sqlite3
from pathlib import Path

import pytest

from sluicegate.stores.write_ahead_log import use_write_ahead_log


def test_a_file_that_another_process_is_writing_is_waited_for(tmp_path: Path) -> None:
    """SQLite itself gives up at once, whatever its busy timeout."""
    path = tmp_path / "new.sqlite"
    other, own = (sqlite3.connect(path, timeout=5, isolation_level=None) for _ in range(2))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        own.execute("PRAGMA journal_mode = WAL")
    use_write_ahead_log(own, pause=lambda _: other.execute("ROLLBACK"))
    assert own.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()
    own.close()


def test_other_faults_and_a_file_that_stays_busy_are_raised(tmp_path: Path) -> None:
    """At once, and when the time is up."""
    path = tmp_path / "new.sqlite"
    other, own = (sqlite3.connect(path, timeout=0, isolation_level=None) for _ in range(2))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        use_write_ahead_log(own, 0)
    other.close()
    own.close()
    (tmp_path / "text").write_text("not a database " * 100)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        use_write_ahead_log(sqlite3.connect(tmp_path / "text"), pause=pytest.fail)
