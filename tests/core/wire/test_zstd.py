"""zstd by each of the three libraries."""

import importlib
import sys
from collections.abc import Iterator

import pytest

from sluicegate.core.wire import zstd
from sluicegate.core.wire.encoding import DecodeError, Truncated, UnknownEncoding, decoder


def _installed(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


@pytest.fixture(params=zstd.LIBRARIES)
def only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """This library alone can be imported."""
    if not _installed(request.param):
        pytest.skip(f"{request.param} is not installed here")
    for name in zstd.LIBRARIES:
        if name != request.param:
            monkeypatch.setitem(sys.modules, name, None)
    zstd._library.cache_clear()
    yield request.param
    zstd._library.cache_clear()


def test_the_library_in_use_is_the_one_that_is_there(only: str) -> None:
    """Whichever it is."""
    assert zstd._library()[0] == only


def test_each_library_decodes_the_same(only: str) -> None:
    """Frames one after the other, byte by byte; a cut one, a corrupt one and one with a large window raise."""
    one = zstd.compressor()
    frames = one.feed(b"hello ") + one.finish() + zstd.compress(b"world")
    d = decoder("zstd")
    assert b"".join(d.feed(frames[i : i + 1]) for i in range(len(frames))) + d.end() == b"hello world"
    cut = decoder("zstd")
    cut.feed(frames[:-1])
    with pytest.raises(Truncated):
        cut.end()
    with pytest.raises(DecodeError):
        decoder("zstd").feed(b"hello, this is no zstd")
    large = zstd.compressor(window_log=27)
    with pytest.raises(DecodeError):
        decoder("zstd").feed(large.feed(b"x" * 1000) + large.finish())


def test_what_is_fed_can_be_read_at_once(only: str) -> None:
    """A stream is flushed after each part."""
    source, sink = zstd.compressor(), decoder("zstd")
    for part in (b"one", b"two" * 100, b"three"):
        assert sink.feed(source.feed(part)) == part
    assert sink.feed(source.finish()) + sink.end() == b""


def test_bombs_are_noticed_with_each_library(only: str) -> None:
    """The decoded size has a limit."""
    with pytest.raises(DecodeError, match="too large"):
        decoder("zstd", 1 << 20).feed(zstd.compress(bytes(1 << 24)))


def test_without_a_library_zstd_is_an_encoding_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer in it passes as it is, as one in any unknown encoding does."""
    for name in zstd.LIBRARIES:
        monkeypatch.setitem(sys.modules, name, None)
    zstd._library.cache_clear()
    try:
        with pytest.raises(UnknownEncoding, match="no library for zstd is installed"):
            decoder("zstd")
    finally:
        zstd._library.cache_clear()
