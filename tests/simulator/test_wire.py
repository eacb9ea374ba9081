import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.simulator.wire import (
    ContinueWanted,
    Event,
    Malformed,
    Request,
    RequestParser,
    chunk,
    head,
)

PIPELINE = (
    b"POST /a?x=1 HTTP/1.1\r\nHost: h\r\nX-Two: 1\r\nx-two: 2\r\nContent-Length: 5\r\n\r\nhello"
    b"POST http://h/b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
    b"\r\nGET /c HTTP/1.0\r\n\r\n"
)


def events_of(pieces: list[bytes], max_body_bytes: int = 1000) -> list[Event]:
    parser = RequestParser(max_body_bytes)
    events: list[Event] = []
    for piece in pieces:
        parser.feed(piece)
        while (event := parser.next_event()) is not None:
            events.append(event)
    return events


def test_pipelined_requests_come_out_one_by_one() -> None:
    """Length, chunked and bodiless requests in one buffer are three requests, in order."""
    first, second, third = events_of([PIPELINE])
    assert isinstance(first, Request)
    assert isinstance(second, Request)
    assert isinstance(third, Request)
    assert (first.method, first.path, first.query, first.body) == ("POST", "/a", "x=1", b"hello")
    assert first.headers == [("Host", "h"), ("X-Two", "1"), ("x-two", "2"), ("Content-Length", "5")]
    assert first.fields["x-two"] == "1"
    assert (second.path, second.body) == ("/b", b"abcde")
    assert (third.http_1_0, third.keep_alive, first.keep_alive) == (True, False, True)


@given(st.lists(st.integers(0, len(PIPELINE)), max_size=12))
def test_any_chunking_gives_the_same_requests(cuts: list[int]) -> None:
    """However the client's bytes are cut, the same requests come out."""
    edges = [0, *sorted(cuts), len(PIPELINE)]
    pieces = [PIPELINE[start:end] for start, end in itertools.pairwise(edges)]
    assert events_of(pieces) == events_of([PIPELINE])


def test_a_body_over_the_limit_is_swallowed_and_marked() -> None:
    """A large body is read to its end but not kept, whichever way it is framed."""
    by_length = b"POST / HTTP/1.1\r\ncontent-length: 2000\r\n\r\n" + b"x" * 2000
    by_chunks = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"x" * 2000) + b"0\r\n\r\n"
    for raw in (by_length, by_chunks):
        (request,) = events_of([raw[i : i + 100] for i in range(0, len(raw), 100)])
        assert isinstance(request, Request)
        assert request.too_large
        assert request.body == b""


def test_expect_continue_asks_before_the_body_comes() -> None:
    """`Expect: 100-continue` gives its event once, and the request after its body."""
    raw = b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    waiting, request = events_of([raw, b"ok"])
    assert isinstance(waiting, ContinueWanted)
    assert isinstance(request, Request)
    assert request.body == b"ok"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc", 400),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 300_000, 431),
    ],
)
def test_what_is_not_http_is_refused_once(raw: bytes, status: int) -> None:
    """Malformed bytes give one Malformed and then nothing more."""
    (event,) = events_of([raw])
    assert isinstance(event, Malformed)
    assert event.status == status


def test_a_head_is_a_status_line_and_headers() -> None:
    """529 has its phrase though it is no registered status."""
    assert head(529, [("a", "b")]) == b"HTTP/1.1 529 Overloaded\r\na: b\r\n\r\n"
