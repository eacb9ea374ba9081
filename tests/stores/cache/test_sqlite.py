"""The SQLite cache through crashes and odd files."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kits.gatekit import ROOT, clean_env, wait_until
from sluicegate.core.errors import StoreError
from sluicegate.stores.cache.base import Entry, Head, Limits
from sluicegate.stores.cache.sqlite import SqliteCache

WRITER = """
import asyncio, sys, time
from pathlib import Path
from sluicegate.stores.cache.base import Entry, Head, HitSavings, Limits
from sluicegate.stores.cache.sqlite import SqliteCache

async def main():
    store = SqliteCache(Path(sys.argv[1]), Limits(entries=40))
    n = int(sys.argv[2]) * 100_000
    print("ready", flush=True)
    while True:
        keys = [f"{n + i:064x}" for i in range(8)]
        now = time.time()
        await asyncio.gather(*(store.put(Entry(k, now, now + 900, Head("m", exact=k), k.encode() * 200)) for k in keys))
        await store.record_hits({keys[0]: HitSavings(1, 10, 0.5)})
        await store.delete(keys[1])
        n += 8

asyncio.run(main())
"""


def entry(n: int, body: bytes = b"", age: float = 0) -> Entry:
    return Entry(f"{n:064x}", time.time() - age, time.time() + 900, Head("m"), body)


async def test_a_full_cache_evicts_in_batches(tmp_path: Path) -> None:
    """Down to a sixteenth below the limit, the least recently used first; then as many writes evict nothing."""
    store = SqliteCache(tmp_path / "cache.sqlite", Limits(entries=160))
    counts = []
    for n in range(300):
        await store.put(entry(n))
        counts.append((await store.state()).totals.entries)
    assert max(counts) == 160
    assert min(counts[160:]) == 150
    assert [at for at, n in enumerate(counts) if n == 150] == [149, *range(160, 300, 11)]
    kept = {e.key for e in await store.listing()}
    assert kept == {entry(n).key for n in range(300 - counts[-1], 300)}
    await store.close()


async def test_a_put_asks_as_little_of_a_full_cache_as_of_an_empty_one(tmp_path: Path) -> None:
    """The same statements; what a batch needs comes in addition, once in many writes, and each entry is deleted once."""
    store = SqliteCache(tmp_path / "cache.sqlite", Limits(entries=1600))
    said: list[str] = []

    async def statements(first: int, count: int) -> list[str]:
        said.clear()
        await asyncio.gather(*(store.put(entry(n)) for n in range(first, first + count)))
        return [s for s in said if s.startswith(("SELECT", "DELETE", "INSERT"))]

    store._writer._db.set_trace_callback(said.append)
    empty = await statements(0, 800)
    await statements(800, 800)
    full = await statements(1600, 800)
    batches = [s for s in full if s.startswith("SELECT id, size")]
    evicted = [s for s in full if s.startswith("DELETE FROM entries WHERE id =")]
    assert len(batches) == 8
    assert len(set(evicted)) == 800 + 1600 - (await store.state()).totals.entries
    assert len(full) - len(batches) - len(evicted) == len(empty)
    await store.close()


async def test_the_entry_just_written_is_never_evicted(tmp_path: Path) -> None:
    """Neither if it takes more than the low-water mark, nor if another machine's clock is ahead."""
    path = tmp_path / "cache.sqlite"
    store = SqliteCache(path, Limits(bytes=10_000))
    ahead = SqliteCache(path, Limits(bytes=10_000), lambda: time.time() + 60)
    await ahead.put(entry(1, b"x" * 3_000))
    await store.put(entry(2, b"x" * 9_700))
    assert [e.key for e in await store.listing()] == [entry(2).key]
    await ahead.put(entry(3, b"x" * 5_000))
    await store.put(entry(4, b"x" * 5_000))
    assert [e.key for e in await store.listing()] == [entry(4).key]
    await ahead.close()
    await store.close()


async def test_what_a_user_deletes_is_overwritten(tmp_path: Path) -> None:
    """Once the log is merged into the file, no byte of it is left."""
    store = SqliteCache(tmp_path / "cache.sqlite", Limits())
    for n in range(20):
        await store.put(entry(n, b"a secret answer " * 2_000))
    for n in range(20):
        assert await store.delete(entry(n).key)
    await store.close()
    assert b"a secret answer" not in b"".join(p.read_bytes() for p in tmp_path.iterdir())


async def test_kill_9_while_it_writes_leaves_a_readable_cache(tmp_path: Path) -> None:
    """Twenty times over: every entry that is listed is whole, the counts are right, and the file is sound."""
    path = tmp_path / "cache.sqlite"
    for number in range(20):
        environment = clean_env({"PYTHONPATH": str(ROOT / "addons")})
        command = [sys.executable, "-c", WRITER, str(path), str(number)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as child:
            assert child.stdout
            assert child.stdout.readline() == b"ready\n"
            _wait_for_rows(path, number)
            os.kill(child.pid, signal.SIGKILL)
        store = SqliteCache(path, Limits(entries=40))
        listed = await store.listing()
        assert listed
        for one in listed:
            entry = await store.get(one.key)
            assert entry
            assert entry.body == one.key.encode() * 200
            assert entry.head.exact == one.key
        totals = (await store.state()).totals
        assert (totals.entries, totals.bytes) == (len(listed), sum(e.size for e in listed))
        assert totals.saved_tokens == totals.hits * 10
        await store.close()
        with sqlite3.connect(path) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _wait_for_rows(path: Path, number: int) -> None:
    """Until this round's writer is at work: how long before the kill differs from round to round."""
    least = number * 100_000 + 8 * (number % 5)

    def there() -> bool:
        with sqlite3.connect(path, timeout=5) as db:
            last = db.execute("SELECT max(key) FROM entries").fetchone()[0]
        return bool(last) and int(last, 16) > least

    wait_until(there, "some entries")


@pytest.mark.parametrize("content", [b"no database at all" * 100, b""])
async def test_a_file_that_is_no_cache_makes_way(tmp_path: Path, content: bytes) -> None:
    """It is put aside, not deleted; an empty one is simply used."""
    path = tmp_path / "cache.sqlite"
    path.write_bytes(content)
    store = SqliteCache(path)
    await store.put(Entry("0" * 64, 0, 2e10, Head("m"), b"x"))
    assert await store.get("0" * 64)
    await store.close()
    aside = Path(f"{path}.unusable")
    assert (aside.read_bytes() if content else b"") == content
    assert aside.exists() == bool(content)


async def test_a_cache_of_another_version_makes_way(tmp_path: Path) -> None:
    """Also one of a later version, after going back."""
    path = tmp_path / "cache.sqlite"
    with sqlite3.connect(path) as db:
        db.executescript("CREATE TABLE entries(other); PRAGMA user_version = 99;")
    db.close()
    store = SqliteCache(path)
    assert await store.listing() == []
    await store.close()
    assert Path(f"{path}.unusable").exists()


def test_a_place_where_no_file_can_be(tmp_path: Path) -> None:
    """A StoreError that names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be opened"):
        SqliteCache(tmp_path / "file" / "cache.sqlite")


async def test_what_another_version_wrote_of_an_entry_is_as_good_as_absent(tmp_path: Path) -> None:
    """Neither a look-up nor a list breaks on it."""
    path = tmp_path / "cache.sqlite"
    store = SqliteCache(path)
    await store.put(Entry("0" * 64, 0, 2e10, Head("m"), b"x"))
    with sqlite3.connect(path) as db:
        db.execute("UPDATE entries SET head = x'7b7d'")
    db.close()
    assert await store.get("0" * 64) is None
    assert await store.listing() == []
    await store.close()
