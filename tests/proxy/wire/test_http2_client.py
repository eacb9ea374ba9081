"""proxy/wire/http2_client.py: an HTTP/2 server that leaves finishes what it has begun; the rest was not processed."""

from __future__ import annotations

from collections.abc import Iterable

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http, options
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.proxy import commands, context, events
from mitmproxy.proxy.layers.http import (
    ErrorCode,
    HttpEvent,
    ReceiveHttp,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._http2 import Http2Client

from sluicegate.proxy.wire.http2_client import GateHttp2Client, Goaways, RequestNotProcessed

REQUEST = http.Request(
    "api.test", 443, b"GET", b"https", b"api.test", b"/", b"HTTP/2.0", http.Headers(), b"", None, 0.0, 0.0
)


class Wire:
    """A GateHttp2Client and a real HTTP/2 server, bytes between them."""

    def __init__(self, most: int = 100) -> None:
        opts = options.Options()
        Proxyserver().load(opts)  # type: ignore[arg-type]
        client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=1.0)
        server = Server(address=("api.test", 443))
        server.state = ConnectionState.OPEN
        ctx = context.Context(client, opts)
        ctx.server = server
        self.layer = Http2Client(ctx)
        self.conn = server
        self.peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        most_streams = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: most}
        self.peer.local_settings = h2.settings.Settings(client=False, initial_values=most_streams)
        self.peer.initiate_connection()
        self.asked: list[int] = []
        """Streams as the server knows them, in the order in which they came."""
        self.got: list[HttpEvent] = []
        self.to_gate(events.Start())
        GateHttp2Client.adopt(self.layer, at_rest=lambda _: None)
        self.flush()

    def to_gate(self, event: events.Event) -> None:
        for command in self.layer.handle_event(event):
            match command:
                case commands.SendData(data=data):
                    found = self.peer.receive_data(data)
                    self.asked += [e.stream_id for e in found if isinstance(e, h2.events.RequestReceived) and e.stream_id]
                case commands.CloseConnection():
                    self.conn.state = ConnectionState.CLOSED
                case ReceiveHttp(event=received):
                    self.got.append(received)
                case _:
                    pass

    def flush(self) -> None:
        """The server's pending bytes reach the gate."""
        if data := self.peer.data_to_send():
            self.raw(data)

    def raw(self, data: bytes) -> None:
        self.to_gate(events.DataReceived(self.conn, data))

    def ask(self, *stream_ids: int) -> None:
        for sid in stream_ids:
            self.to_gate(RequestHeaders(sid, REQUEST, True))
            self.to_gate(RequestEndOfMessage(sid))

    def answer(self, theirs: int, *, end: bool = True) -> None:
        self.peer.send_headers(theirs, [(":status", "200")])
        self.peer.send_data(theirs, b"hi", end_stream=end)
        self.flush()

    def of(self, stream_id: int) -> list[type[HttpEvent]]:
        return [type(e) for e in self.got if e.stream_id == stream_id]


WHOLE = [ResponseHeaders, ResponseData, ResponseEndOfMessage]


def goaway(last: int, code: int = 0) -> bytes:
    return GoAwayFrame(0, last_stream_id=last, error_code=code).serialize()


def test_a_server_that_leaves_finishes_what_it_has_begun() -> None:
    """Streams up to the last one that it names are answered whole; then the connection is closed."""
    wire = Wire()
    wire.ask(101, 102)
    wire.answer(wire.asked[0], end=False)
    wire.raw(goaway(wire.asked[1]))
    wire.peer.send_data(wire.asked[0], b"more", end_stream=True)
    wire.answer(wire.asked[1])
    assert wire.of(101) == [ResponseHeaders, ResponseData, ResponseData, ResponseEndOfMessage]
    assert wire.of(102) == WHOLE
    assert not wire.conn.connected


def test_what_it_has_not_begun_was_not_processed() -> None:
    """Later streams, and what comes after it said so."""
    wire = Wire()
    wire.ask(101, 102)
    wire.raw(goaway(wire.asked[0]))
    wire.ask(103)
    assert wire.of(102) == wire.of(103) == [RequestNotProcessed]
    wire.raw(HeadersFrame(wire.asked[1], data=b"\x88", flags=["END_HEADERS", "END_STREAM"]).serialize())
    wire.answer(wire.asked[0])
    assert wire.of(101) == WHOLE
    assert wire.of(102) == [RequestNotProcessed]  # late frames for it are ignored
    assert len(wire.asked) == 2


def test_an_answer_behind_the_goaway_that_excludes_it_is_ignored() -> None:
    """In one read: the request fails as not processed, and nothing of the answer is passed on."""
    wire = Wire()
    wire.ask(101, 102)
    head = HeadersFrame(wire.asked[1], data=b"\x88", flags=["END_HEADERS"]).serialize()
    wire.raw(goaway(wire.asked[0]) + head)
    assert wire.of(102) == [RequestNotProcessed]
    wire.answer(wire.asked[0])
    assert wire.of(101) == WHOLE


def test_a_goaway_with_an_error_ends_all() -> None:
    """A GOAWAY with an error is an error of every stream on the connection."""
    wire = Wire()
    wire.ask(101)
    wire.raw(goaway(wire.asked[0], h2.errors.ErrorCodes.INTERNAL_ERROR))
    assert wire.of(101) == [ResponseProtocolError]


def test_a_refused_stream_was_not_processed() -> None:
    """REFUSED_STREAM: nothing was done with it. Any other reset is a failure."""
    wire = Wire()
    wire.ask(101, 102)
    wire.peer.reset_stream(wire.asked[0], h2.errors.ErrorCodes.REFUSED_STREAM)
    wire.peer.reset_stream(wire.asked[1], h2.errors.ErrorCodes.INTERNAL_ERROR)
    wire.flush()
    assert wire.of(101) == [RequestNotProcessed]
    assert wire.of(102) == [ResponseProtocolError]
    assert "INTERNAL_ERROR" in wire.got[-1].message  # type: ignore[attr-defined]


def test_a_request_that_waits_for_its_turn_and_is_cancelled_is_never_sent() -> None:
    """The server takes one stream at a time; the second's client leaves, the third is sent when the first is done."""
    wire = Wire(most=1)
    wire.ask(101, 102, 103)
    assert len(wire.asked) == 1
    wire.to_gate(RequestProtocolError(102, "gone", ErrorCode.CANCEL))
    wire.answer(wire.asked[0])
    assert len(wire.asked) == 2
    wire.answer(wire.asked[1])
    assert wire.of(103) == WHOLE
    assert wire.of(102) == []


@pytest.mark.parametrize("how", ["close", "leave"])
def test_a_request_that_waits_for_its_turn_is_given_back_when_the_connection_ends(how: str) -> None:
    """It would never be answered."""
    wire = Wire(most=1)
    wire.ask(101, 102)
    if how == "close":
        wire.conn.state = ConnectionState.CLOSED
        wire.to_gate(events.ConnectionClosed(wire.conn))
    else:
        wire.raw(goaway(wire.asked[0]))
    assert wire.of(102) == [RequestNotProcessed]
    assert wire.of(101) == ([ResponseProtocolError] if how == "close" else [])


def test_a_cancelled_stream_leaves_the_connection_idle() -> None:
    """It no longer counts as one under way."""
    wire = Wire()
    wire.ask(101)
    wire.to_gate(RequestProtocolError(101, "gone", ErrorCode.CANCEL))
    assert not wire.layer.streams
    wire.ask(102)
    wire.answer(wire.asked[1])
    assert wire.of(102) == WHOLE


FRAMES: list[Frame] = [PingFrame(0, opaque_data=b"12345678"), DataFrame(1, data=b"x" * 300), DataFrame(1, data=b"")]


@given(
    kinds=st.lists(st.integers(0, 4), max_size=12),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=20),
)
def test_however_a_servers_bytes_are_cut(kinds: list[int], cuts: list[int]) -> None:
    """Only graceful GOAWAY frames are taken out; all others pass byte for byte."""
    frames = [FRAMES[k].serialize() if k < len(FRAMES) else goaway(7 + i, 0 if k == 3 else 1) for i, k in enumerate(kinds)]
    farewells = [7 + i for i, k in enumerate(kinds) if k == 3]
    goaways, out, seen = Goaways(), b"", []
    for piece in _cut(b"".join(frames), cuts):
        passed, last = goaways.feed(piece)
        out += passed
        seen += [last] if last is not None else []
    assert out == b"".join(f for f, k in zip(frames, kinds, strict=True) if k != 3)
    assert seen[-1:] == farewells[-1:]


def _cut(data: bytes, sizes: list[int]) -> Iterable[bytes]:
    at, n = 0, 0
    while at < len(data):
        yield data[at : at + sizes[n % len(sizes)]]
        at += sizes[n % len(sizes)]
        n += 1
