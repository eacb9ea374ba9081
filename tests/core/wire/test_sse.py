"""SSE: the WHATWG rules, any chunking, hostile input."""

import time
import tracemalloc
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.wire.sse import (
    PING,
    SSEEvent,
    SSEParser,
    error_event,
)


def parse(*chunks: bytes, max_event: int = 1 << 20) -> list[tuple[bytes, bytes]]:
    parser = SSEParser(max_event)
    return [tuple(e) for c in chunks for e in parser.feed(c)] + [tuple(e) for e in parser.end()]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [(b"message", b"a")]),
        (b"event: e\ndata: a\n\n", [(b"e", b"a")]),
        (b"data:a\n\n", [(b"message", b"a")]),
        (b"data:  a\n\n", [(b"message", b" a")]),  # one space only is taken off
        (b"data: a\ndata: b\n\n", [(b"message", b"a\nb")]),
        (b"data\n\n", [(b"message", b"")]),
        (b"data:\ndata\n\n", [(b"message", b"\n")]),
        (b"event: e\n\ndata: a\n\n", [(b"message", b"a")]),  # an event without data is none, and its name is forgotten
        (b": comment\n\n", []),
        (b"id: 1\nretry: 5\nunknown: x\ndata: a\n\n", [(b"message", b"a")]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", [(b"message", b"a"), (b"message", b"b"), (b"message", b"c")]),
        (b"\xef\xbb\xbfdata: a\n\n", [(b"message", b"a")]),
        (b"data: \xef\xbb\xbfa\n\n", [(b"message", b"\xef\xbb\xbfa")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
        (b"data: a", []),  # an event that is not ended is dropped
        (b"data: a\n", []),
        (b"Data: a\n\n", []),
        (b" data: a\n\n", []),
        (b"event: a\nevent: b\ndata: x\n\n", [(b"b", b"x")]),
        (b"event\ndata: x\n\n", [(b"message", b"x")]),
        (b"data: a:b: c\n\n", [(b"message", b"a:b: c")]),
        (b"data: \x00\xff\n\n", [(b"message", b"\x00\xff")]),
        ("data: a\u2028b\x0bc\x85\n\n".encode(), [(b"message", "a\u2028b\x0bc\x85".encode())]),
        (b"", []),
    ],
)
def test_the_whatwg_rules(stream: bytes, events: list[tuple[bytes, bytes]]) -> None:
    """Each rule of "Interpreting an event stream", in one piece and byte by byte."""
    assert parse(stream) == events
    assert parse(*(stream[i : i + 1] for i in range(len(stream)))) == events


PIECES = st.sampled_from(
    [
        b"data: ",
        b"data",
        b":",
        b"event: x",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b" ",
        b"a",
        b"\xef\xbb\xbf",
        b"data: {}\n\n",
        b"id: 3",
    ]
)


@given(st.lists(PIECES, max_size=30), st.data())
def test_however_the_bytes_are_cut_the_events_are_the_same(pieces: list[bytes], data: st.DataObject) -> None:
    """Any chunking, empty chunks too."""
    stream = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert parse(*chunks) == parse(stream)


@given(st.lists(st.tuples(st.sampled_from([b"message", b"ping", b"x"]), st.text(max_size=20)), max_size=8))
def test_what_is_written_is_read(events: list[tuple[bytes, str]]) -> None:
    """Events written the plain way come back."""
    clean = [(n, d.replace("\r", "").replace("\n", "").encode("utf-8", "replace")) for n, d in events]
    assert parse(b"".join(b"event: %s\ndata: %s\n\n" % e for e in clean)) == clean


@pytest.mark.parametrize(
    "flood",
    [
        [b"data: " + b"x" * 5000 + b"\n\n"],
        [b"data: ", *[b"x" * 100] * 50, b"\n\n"],
        [b"data: x\n"] * 2000 + [b"\n"],
        [b"data:\n"] * 2000 + [b"\n"],
        [b"x" * 100] * 50 + [b"\n\n"],
        [b":" + b"c" * 5000 + b"\n\n"],
    ],
)
def test_an_event_that_is_too_large_is_dropped(flood: list[bytes]) -> None:
    """The parser holds at most `max_event` bytes, and reads what follows as if nothing had been."""
    parser = SSEParser(max_event=1000)
    for chunk in flood:
        assert parser.feed(chunk) == []
        assert len(parser._line) + len(parser._data or b"") <= 1000 + 100
    assert parser.overflowed == 1
    assert parser.feed(b"event: e\ndata: a\n\n") == [SSEEvent(b"e", b"a")]
    assert parser.idle


def test_overflow_is_counted() -> None:
    """A reader can tell that it missed something."""
    parser = SSEParser(max_event=10)
    parser.feed(b"data: 0123456789012345\n\n" * 3)
    assert parser.overflowed == 3


FLOOD = (
    b"data: x\n" * 50
    + b"data: x\n\nevent: ok\ndata: 1\n\n"
    + b"junk" * 60
    + b"\n\ndata: 2\n\ndata: "
    + b"x" * 200
    + b"\n\ndata: 3\n\ndata: 4\n\n"
)


@pytest.mark.parametrize("step", [1, 7, 64, 10_000])
def test_what_overflows_does_not_depend_on_the_chunks(step: int) -> None:
    """Short lines, junk and one long line: each counts, and the events in between are read."""
    parser = SSEParser(max_event=100)
    events = [e.data for i in range(0, len(FLOOD), step) for e in parser.feed(FLOOD[i : i + step])]
    assert (events, parser.overflowed) == ([b"1", b"2", b"3", b"4"], 3)


@given(st.lists(PIECES, max_size=30), st.integers(1, 40), st.lists(st.integers(0, 200), max_size=10))
def test_no_cut_changes_what_overflows(pieces: list[bytes], limit: int, cuts: list[int]) -> None:
    """Neither the events nor the count."""
    stream = b"".join(pieces)
    whole, cut = SSEParser(limit), SSEParser(limit)
    places = [0, *sorted(min(c, len(stream)) for c in cuts), len(stream)]
    events = [e for a, b in pairwise(places) for e in cut.feed(stream[a:b])]
    assert (events, cut.overflowed) == (whole.feed(stream), whole.overflowed)


@given(st.lists(PIECES, max_size=30), st.lists(st.integers(0, 200), max_size=10))
def test_idle_promises_that_an_event_reads_as_by_a_new_parser(pieces: list[bytes], cuts: list[int]) -> None:
    """A reader may skip a whole event there."""
    stream, parser = b"".join(pieces), SSEParser()
    places = [0, *sorted(min(c, len(stream)) for c in cuts), len(stream)]
    for a, b in pairwise(places):
        parser.feed(stream[a:b])
        if parser.idle:
            assert parser.feed(PING) == [SSEEvent(b"ping", b'{"type": "ping"}')]
            assert parser.idle


def test_tiny_chunks_take_no_more_memory_than_their_bytes() -> None:
    """A line that comes byte by byte is held once, not as an object for each of its bytes."""
    parser = SSEParser()
    tracemalloc.start()
    for _ in range(100_000):
        parser.feed(b"x")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 300_000


def test_a_large_chunk_is_read_whole() -> None:
    """Several slices' worth, cut within lines."""
    assert len(parse(b"event: x\ndata: %s\n\n" % (b"y" * 1000) * 3000)) == 3000


@pytest.mark.parametrize("unit", [b"x", b"\r", b"\n", b"data:", b"data: \r", b":", b"event: a\n"])
def test_hostile_streams_take_linear_time(unit: bytes) -> None:
    """Ten times the input takes about ten times the time, in one chunk or in many."""

    def seconds(n: int, size: int) -> float:
        stream = unit * n
        started = time.process_time()
        parser = SSEParser(1 << 20)
        for i in range(0, len(stream), size):
            parser.feed(stream[i : i + size])
        return time.process_time() - started

    for size in (1 << 30, 64):
        seconds(1000, size)
        assert seconds(100_000, size) < 40 * seconds(10_000, size) + 0.05


def test_idle_means_between_events() -> None:
    """`idle` only where nothing is held back, not even half of a line end."""
    parser = SSEParser()
    assert not parser.idle  # a byte order mark may come
    for chunk, idle in [
        (b"data: a\n\n", True),
        (b"e", False),
        (b"vent: a\n", False),
        (b"data: b\n", False),
        (b"\r", False),
    ]:
        parser.feed(chunk)
        assert parser.idle is idle
    parser.feed(b"\n")
    assert parser.idle


def test_our_own_events_are_well_formed() -> None:
    """What we write parses as one event of its name."""
    assert parse(PING) == [(b"ping", b'{"type": "ping"}')]
    ((name, data),) = parse(error_event("api_error", 'a "quoted"\nmessage\r\n\n'))
    assert name == b"error"
    assert b'"api_error"' in data


def test_an_error_may_hold_any_text() -> None:
    """A lone surrogate, as in a message made of stray bytes, becomes a question mark."""
    ((_, data),) = parse(error_event("api_\udfff", "a \ud800 b"))
    assert msgspec.json.decode(data) == {"type": "error", "error": {"type": "api_?", "message": "a ? b"}}
