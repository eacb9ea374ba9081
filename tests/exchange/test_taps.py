"""Taps: order, fates, chunking."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.exchange.taps import Taps


class Holding:
    """Gives each byte out as `tag + byte`, and holds the last one back until more comes."""

    def __init__(self, tag: bytes) -> None:
        self.tag = tag
        self.held = b""

    def feed(self, data: bytes) -> bytes:
        data = self.held + data
        self.held = data[-1:]
        return b"".join(self.tag + data[i : i + 1] for i in range(len(data) - 1))

    def end(self) -> bytes:
        held, self.held = self.held, b""
        return self.tag + held if held else b""


def run(taps: Taps, chunks: list[bytes]) -> bytes:
    out = []
    for chunk in [*chunks, b""]:
        pieces = list(taps(chunk))
        assert b"" not in pieces
        out += pieces
    return b"".join(out)


def test_the_first_tap_is_the_innermost() -> None:
    """A tap added later sees what the earlier ones made of the bytes."""
    taps, seen = Taps(), []
    taps.observe(lambda d: seen.append(("inner", d)), name="inner")
    taps.change(Holding(b"-"), name="change")
    taps.observe(lambda d: seen.append(("outer", d)), name="outer")
    assert run(taps, [b"abc"]) == b"-a-b-c"
    assert seen == [("inner", b"abc"), ("outer", b"-a-b"), ("outer", b"-c")]


def test_lookers_get_the_very_chunk() -> None:
    """Without a changing tap the bytes are passed on as they are, not copied."""
    taps, chunk = Taps(), b"x" * 1000
    taps.observe(lambda _: None, name="look")
    (got,) = taps(chunk)
    assert got is chunk


@given(st.binary(), st.lists(st.integers(0, 50)), st.integers(0, 3))
def test_however_the_bytes_are_cut_the_client_sees_the_same(body: bytes, cuts: list[int], depth: int) -> None:
    """Chunking changes neither the bytes nor what observers see in sum; no empty chunk ever comes out."""

    def build() -> tuple[Taps, list[bytes]]:
        taps, seen = Taps(), []
        taps.observe(seen.append, name="inner")
        for i in range(depth):
            taps.change(Holding(bytes([65 + i])), name=str(i))
        taps.observe(seen.append, name="outer")
        return taps, seen

    whole, whole_seen = build()
    expected = run(whole, [body] if body else [])
    taps, seen = build()
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(body[at : at + cut])
        at += cut
    chunks = [c for c in [*chunks, body[at:]] if c]
    assert run(taps, chunks) == expected
    assert len(b"".join(seen)) == len(b"".join(whole_seen))


def test_the_end_comes_once_and_innermost_first() -> None:
    """`done` and `end` run once, in order; what a tap held back passes the taps outside it before their own end."""
    taps, log = Taps(), []
    taps.observe(lambda _: None, name="a", done=lambda: log.append("a.done"))
    taps.change(Holding(b""), name="hold")
    taps.observe(lambda d: log.append(d), name="b", done=lambda: log.append("b.done"))
    assert run(taps, [b"x"]) == b"x"
    assert log == ["a.done", b"x", "b.done"]
    assert list(taps(b"")) == []
    assert list(taps(b"late")) == []
    assert log == ["a.done", b"x", "b.done"]


@pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt(), SystemExit(), GeneratorExit()])
def test_a_closed_tap_breaks_the_stream(error: BaseException) -> None:
    """No byte passes a broken tap, then or later, and nothing escapes into the proxy core."""
    taps = Taps()

    def explode(_: bytes) -> None:
        raise error

    taps.observe(explode, name="bad")
    assert list(taps(b"secret")) == []
    assert taps.broken == ("bad", error)
    assert list(taps(b"more")) == []
    assert list(taps(b"")) == []


def test_an_aside_tap_is_taken_out() -> None:
    """The bytes go on as they came to it; the taps around it each see every chunk once."""
    taps, before, after = Taps(), [], []
    error = ValueError()

    def explode(_: bytes) -> None:
        raise error

    taps.observe(before.append, name="before")
    taps.observe(explode, name="bad", on_error="skip")
    taps.observe(after.append, name="after")
    assert run(taps, [b"one", b"two"]) == b"onetwo"
    assert before == after == [b"one", b"two"]
    assert taps.set_aside == [("bad", error)]
    assert taps.broken is None


@pytest.mark.parametrize("on_error", ["fail_closed", "skip"])
def test_a_fault_at_the_end_has_the_same_fate(on_error: str) -> None:
    """A `done` that raises breaks the stream or is left out, as declared; the taps after it still end."""
    taps, log = Taps(), []

    def explode() -> None:
        raise ValueError

    taps.observe(lambda _: None, name="bad", done=explode, on_error=on_error)  # type: ignore[arg-type]
    taps.observe(lambda _: None, name="good", done=lambda: log.append("done"))
    list(taps(b"x"))
    assert list(taps(b"")) == []
    assert bool(taps.broken) == (on_error == "fail_closed")
    assert log == ([] if on_error == "fail_closed" else ["done"])


def test_a_change_always_fails_closed() -> None:
    """A changing tap may hold a secret's half back, so it can not step aside."""

    class Bad(Holding):
        def feed(self, data: bytes) -> bytes:
            raise ValueError

    taps = Taps()
    taps.change(Bad(b""), name="restore")
    assert list(taps(b"x")) == []
    assert taps.broken
    assert taps.changes


def test_truncate_drops_the_taps_of_a_stage_that_stepped_aside() -> None:
    """Only taps added after the mark go; passing becomes plain again."""
    taps, seen = Taps(), []
    taps.observe(seen.append, name="keep")
    mark = len(taps)
    taps.change(Holding(b"!"), name="drop")
    taps.truncate(mark)
    assert len(taps) == 1
    assert not taps.changes
    assert run(taps, [b"ab"]) == b"ab"
    assert seen == [b"ab"]
