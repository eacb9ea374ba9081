"""Files of SQLite that several connections of one process use, and several processes."""

import inspect
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluicegate.stores.cache.sqlite import SqliteCache
from sluicegate.stores.keys.sqlite import SqliteKeys
from sluicegate.stores.limits.sqlite_file import LimitsFile
from sluicegate.stores.placeholder_numbers.sqlite import SqlitePlaceholderNumbers
from sluicegate.stores.private_file import ensure_private

PASSER_BY = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM sqlite_master').connection.close()"
OPENERS: list[Callable[[Path], Any]] = [
    SqliteCache,
    SqliteKeys,
    SqlitePlaceholderNumbers,
    lambda path: LimitsFile(path, 1.0),
]


@pytest.mark.parametrize("opened", OPENERS, ids=["cache", "keys", "ranks", "limits"])
async def test_whoever_leaves_is_not_the_last(opened: Callable[[Path], Any], tmp_path: Path) -> None:
    """A second connection of this process leaves the first one's locks alone: a process that ends keeps off the log."""
    path = tmp_path / "state.sqlite"
    stores = [opened(path), opened(path)]
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("CREATE TABLE found (it)")
    log = Path(f"{path}-wal").stat()
    subprocess.run([sys.executable, "-c", PASSER_BY, str(path)], check=True, timeout=60)
    assert Path(f"{path}-wal").stat().st_ino == log.st_ino
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(log.st_mode) == 0o600
    db.close()
    for store in stores:
        if inspect.isawaitable(closing := store.close()):
            await closing


def test_what_exists_stays_as_it_is(tmp_path: Path) -> None:
    """Neither its content nor its mode."""
    path = tmp_path / "state.sqlite"
    path.write_bytes(b"content")
    path.chmod(0o640)
    ensure_private(path)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"content", 0o640)
