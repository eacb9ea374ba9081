"""Sinks: where records go."""

import os
import stat
from pathlib import Path

import pytest

from sluicegate.core.errors import StoreError
from sluicegate.services.telemetry.sinks import Sinks, _Stream


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files through /proc")


def test_a_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """0600 in folders of 0700, whatever the umask."""
    old = os.umask(0)
    try:
        sink = Sinks().get(f"file:{tmp_path}/new/a.jsonl")
    finally:
        os.umask(old)
    assert sink
    sink.write(b"line\n")
    path = tmp_path / "new" / "a.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_bytes() == b"line\n"


@needs_proc
def test_a_rotated_file_is_opened_anew(tmp_path: Path) -> None:
    """What was written stays in the old one, what comes goes to the new one; no file stays open."""
    sinks = Sinks()
    name = f"file:{tmp_path}/a.jsonl"
    sink = sinks.get(name)
    assert sink
    assert sinks.get(name) is sink
    count = open_files()
    for i in range(5):
        sink.write(b"%d\n" % i)
        (tmp_path / "a.jsonl").rename(tmp_path / f"a.{i}")
        sinks.follow_rotation()
        sinks.follow_rotation()
    assert open_files() == count
    assert [(tmp_path / f"a.{i}").read_bytes() for i in range(5)] == [b"%d\n" % i for i in range(5)]
    assert (tmp_path / "a.jsonl").read_bytes() == b""


def test_a_rotation_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    """Never a closed descriptor: its number might belong to a client's socket a moment later."""
    sinks = Sinks()
    folder = tmp_path / "logs"
    sink = sinks.get(f"file:{folder}/a.jsonl")
    assert sink
    folder.rename(tmp_path / "old")
    folder.write_bytes(b"in the way")
    with pytest.raises((StoreError, OSError)):
        sinks.follow_rotation()
    other = os.open(tmp_path / "client", os.O_WRONLY | os.O_CREAT)
    sink.write(b"record\n")
    os.close(other)
    assert (tmp_path / "client").read_bytes() == b""
    assert (tmp_path / "old" / "a.jsonl").read_bytes() == b"record\n"


@needs_proc
def test_reopening_leaves_nothing_open(tmp_path: Path) -> None:
    """However often it is tried, with success or without."""
    sinks, name = Sinks(), f"file:{tmp_path}/a.jsonl"
    sinks.get(name)
    count = open_files()
    for _ in range(10):
        sink = sinks.reopen(name)
        assert sink is sinks.get(name)
    assert open_files() == count


@pytest.mark.parametrize("name", ["", "file:", "files:/x", "syslog", "STDOUT"])
def test_names_that_are_no_place(name: str) -> None:
    """Told with what there is."""
    with pytest.raises(StoreError, match="stdout, stderr, file:PATH or off"):
        Sinks().get(name)


def test_places_that_can_not_be_written(tmp_path: Path) -> None:
    """A folder, or a path through a file, is a StoreError."""
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "file" / "a.jsonl"):
        with pytest.raises(StoreError):
            Sinks().get(f"file:{path}")


def test_the_standard_streams(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """BufferedTransform lines, unbuffered; off is nothing."""
    sinks = Sinks()
    for name in ("stdout", "stderr"):
        sink = sinks.get(name)
        assert sink
        sink.write(name.encode() + b"\n")
    assert sinks.get("off") is None
    assert sinks.reopen("off") is None
    assert capfdbinary.readouterr() == (b"stdout\n", b"stderr\n")


def test_a_closed_pipe_is_a_store_error() -> None:
    """The audit raises an alarm for it; the gate goes on."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        with pytest.raises(StoreError, match="standard stream"):
            _Stream(writing).write(b"record\n")
    finally:
        os.close(writing)
