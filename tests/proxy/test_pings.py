"""proxy/pings.py: when a streaming client gets a ping, and what it must not break."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kits.playbook import Playbook
from kits.transcript import Dial, FromClient, FromServer, TimeIsUp, ToClient, ToServer, Transcript
from sluicegate.exchange.exchange import exchange_of
from sluicegate.proxy import pings, retrying, stream
from sluicegate.stages import Router
from sluicegate.testing import chain_of, quiet

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
START = b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":1}}}\n\n'


def request(body: bytes) -> bytes:
    return b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


STREAMED = request(b'{"model":"claude-haiku-4-5","stream":true}')


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1000.0, monotonic=lambda: clock.now, time=lambda: 1.0)
    for module in (retrying, stream, pings):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def book() -> Any:
    with chain_of(Router, settings=quiet()) as chain:
        yield Playbook(chain)


def armed(book: Playbook) -> bool:
    streams: list[Any] = list(book.layer.streams.values())
    return any(s._pings._timer is not None for s in streams)


async def test_pings_go_between_events(book: Playbook, clock: SimpleNamespace) -> None:
    """Not into half an event; not while events come."""
    half = b'event: content_block_delta\ndata: {"half'
    await (
        Transcript(book)
        >> FromClient(STREAMED)
        << Dial("api.test:80")
        << ToServer(b"claude")
        >> FromServer(SSE + chunk(START))
        << ToClient(START)
        >> TimeIsUp("pings")
    )
    clock.now += 60
    await (Transcript(book) >> TimeIsUp("pings") << ToClient(b"event: ping"))
    clock.now += 60
    await (Transcript(book) >> FromServer(chunk(half)) << ToClient(half))
    clock.now += 60
    await (Transcript(book) >> TimeIsUp("pings") >> FromServer(chunk(b'"}\n\n')) << ToClient(b'"}'))
    clock.now += 60
    await (Transcript(book) >> TimeIsUp("pings") << ToClient(b"event: ping"))


async def test_a_client_that_did_not_ask_for_a_stream_gets_none(book: Playbook) -> None:
    """It would take them for its answer."""
    await book.client(request(b'{"model":"claude-haiku-4-5"}'))
    assert not armed(book)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 500\r\n\r\n" + START,
        SSE.replace(b"\r\n\r\n", b"\r\nContent-Encoding: x\r\n\r\n") + b"5\r\nevent\r\n",
    ],
)
async def test_an_answer_whose_events_cannot_be_seen_gets_none(book: Playbook, head: bytes) -> None:
    """A body of a known length, or an encoded one."""
    await book.client(STREAMED)
    assert armed(book)
    await book.server(head)
    assert book.to_client
    assert not armed(book)


@pytest.mark.parametrize("how", ["left", "closed", "detached"])
async def test_no_ping_after_the_end(book: Playbook, clock: SimpleNamespace, how: str) -> None:
    """The client has left, the exchange is closed, or it goes on for others."""
    await book.client(STREAMED)
    clock.now += 60
    x = exchange_of(book.flow)
    assert x
    match how:
        case "left":
            x.life.client_left()
        case "closed":
            x.life.close()
        case _:
            x.life.detached = True
    await (Transcript(book) >> TimeIsUp("pings"))
    assert not armed(book)


def test_the_response_that_a_ping_opens_is_a_stream() -> None:
    """With the exchange's id, and chunked for HTTP/1 only."""
    x: Any = SimpleNamespace(id="sg_1")
    for alpn, chunked in ((b"h2", False), (None, True)):
        at: Any = SimpleNamespace(
            stream_id=1,
            started=False,
            committed_to_stream=False,
            context=SimpleNamespace(client=SimpleNamespace(alpn=alpn)),
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pings.cors, "add_cors_headers", lambda *_: None)
            response = pings.Pings(at)._commit(x).response
        assert at.started
        assert at.committed_to_stream
        assert response.headers["x-sluicegate-id"] == "sg_1"
        assert ("transfer-encoding" in response.headers) is chunked
