"""proxy/stream.py: one request and its answer; read as transcripts of bytes."""

import asyncio
import errno
import os
from collections.abc import Iterator
from typing import Any

import pytest
from mitmproxy import http

from kits.http1 import SSE_HEAD, START, STOP, WHOLE, Without, chunked, request
from kits.playbook import Playbook
from sluicegate.core.wire.sse import SSEParser
from sluicegate.exchange.bodies import ByteSource
from sluicegate.exchange.exchange import exchange_of
from sluicegate.gate.chain import Chain
from sluicegate.proxy.error_texts import plain_os_errors, readable
from sluicegate.proxy.retrying import RetryingStream
from sluicegate.settings.retry import (
    Backoff,
    Retry,
)
from sluicegate.stages import Router
from sluicegate.testing import chain_of, planted, quiet


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def chain(log: list[str]) -> Iterator[Chain]:
    with chain_of(planted("outer", log), Router) as chain:
        yield chain


async def test_streaming_requests_are_collected_all_the_same(chain: Chain, log: list[str]) -> None:
    """Neither `request.stream` nor large-body options get a body past the stages."""

    class Streamer(Without):
        def requestheaders(self, flow: http.HTTPFlow) -> None:
            self._chain.requestheaders(flow)
            flow.request.stream = True

    book = Playbook(chain)
    book.chain = Streamer(chain, "")  # type: ignore[assignment]
    await book.client(request())
    assert book.to_server == b""


async def test_large_bodies_are_collected_or_refused() -> None:
    """Up to the limit a body is complete before a stage sees it; beyond it: a native 413, and nothing leaves."""
    log: list[str] = []
    with chain_of(planted("outer", log), settings=quiet(max_body=1000)) as chain:
        book = Playbook(chain)
        head, _, _ = request(b"x" * 2000).partition(b"\r\n\r\n")
        await book.client(head + b"\r\n\r\n")
        await book.client(b"x" * 2000)
        assert book.to_client.startswith(b"HTTP/1.1 413")
        assert b"request_too_large" in book.to_client
        assert book.sent == {}
        assert log.count("outer.settle") == 1
        chunked_head = b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        book = Playbook(chain)
        await book.client(chunked_head + chunked(b"x" * 600))
        assert book.to_client == b""
        await book.client(chunked(b"x" * 600))
        assert book.to_client.startswith(b"HTTP/1.1 413")
        assert book.sent == {}


async def test_a_stream_passes_as_it_comes(chain: Chain) -> None:
    """Each event leaves when it is there; the end is the server's end."""
    book = Playbook(chain)
    await book.client(request())
    await book.server(SSE_HEAD + chunked(START))
    assert book.to_client.endswith(chunked(START))
    await book.server(chunked(STOP) + WHOLE)
    assert book.to_client.endswith(chunked(STOP) + WHOLE)
    assert book.flow.metadata["sluicegate"]["outcome"] == "ok"


@pytest.mark.parametrize("kind", ["stream", "length", "chunked", "error"])
async def test_what_must_precede_the_end_is_done_before_the_client_can_see_the_end(log: list[str], kind: str) -> None:
    """A slot that another gate counts is free by then: message_stop, the last announced byte or the last chunk waits."""
    seen: list[bytes] = []

    async def free() -> None:
        await asyncio.sleep(0)
        seen.append(book.to_client)

    def ask(x: Any) -> None:
        x.life.before_end = free

    json_head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    parts, beginning = {
        "stream": ((SSE_HEAD + chunked(START), chunked(STOP), WHOLE), chunked(START)),
        "length": ((json_head + b"Content-Length: 4\r\n\r\n{ ", b" }"), b"\r\n\r\n"),  # held until it is whole
        "chunked": ((json_head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"{ }"), WHOLE), chunked(b"{ }")),
        "error": ((SSE_HEAD + chunked(START), WHOLE), chunked(START)),
    }[kind]
    with chain_of(planted("slots", log, does={"request": ask}), Router) as chain:
        book = Playbook(chain)
        await book.client(request())
        for part in parts:
            await book.server(part)
        assert len(seen) == 1
        assert seen[0].endswith(beginning)
        assert len(book.to_client) > len(seen[0])
        assert book.flow.metadata["sluicegate"]["outcome"] == ("truncated" if kind == "error" else "ok")


@pytest.mark.parametrize("how", ["clean", "cut"])
async def test_a_stream_without_its_end_breaks_visibly(chain: Chain, how: str) -> None:
    """Ended before message_stop, cleanly or not: an `event: error`, and no clean end of the body."""
    book = Playbook(chain)
    await book.client(request())
    await book.server(SSE_HEAD + chunked(START))
    await (book.server(WHOLE) if how == "clean" else book.server_leaves())
    assert not book.to_client.endswith(b"\r\n" + WHOLE)
    assert b"event: error" in book.to_client
    assert book.context.client in book.closed
    assert book.flow.metadata["sluicegate"]["outcome"] == "truncated"


async def test_a_broken_tap_breaks_the_stream(log: list[str]) -> None:
    """From the tap's fault on the client gets no byte of the answer; the request is cancelled at the server."""

    def plant(x: Any) -> None:
        def look(data: bytes) -> None:
            if b"secret" in data:
                raise ValueError

        x.taps.observe(look, name="restore")

    with chain_of(planted("outer", log), planted("bad", log, does={"answer": plant})) as chain:
        book = Playbook(chain)
        await book.client(request())
        await book.server(SSE_HEAD + chunked(START))
        await book.server(chunked(b"data: secret\n\n") + chunked(STOP) + WHOLE)
        assert b"secret" not in book.to_client
        assert STOP not in book.to_client
        assert b"event: error" in book.to_client
        assert not book.to_client.endswith(b"\r\n" + WHOLE)
        assert book.flow.metadata["sluicegate"]["outcome"] == "internal"
        assert len(book.closed) >= 2
        assert log.count("outer.settle") == 1


async def test_an_answer_over_time(chain: Chain, log: list[str]) -> None:
    """A stage's ByteSource is read until it is closed, through the taps."""
    source = ByteSource()

    def plan(x: Any) -> None:
        x.answer = http.Response.make(200, b"", {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
        x.answer.headers.pop("content-length", None)
        x.source = source

    with chain_of(planted("outer", log), planted("own", log, does={"request": plan})) as chain:
        book = Playbook(chain)
        book.on_pull = [lambda _: source.write(START), lambda _: (source.write(STOP), source.close())]
        await book.client(request())
        assert book.sent == {}
        assert book.to_client.endswith(chunked(START) + chunked(STOP) + WHOLE)
        assert log[-2:] == ["own.settle", "outer.settle"]


async def test_an_answer_over_time_that_fails(chain: Chain, log: list[str]) -> None:
    """An error of the source ends the stream visibly."""
    source = ByteSource()

    def plan(x: Any) -> None:
        x.answer = http.Response.make(200, b"", {"content-type": "text/event-stream"})
        x.answer.headers.pop("content-length", None)
        x.source = source

    with chain_of(planted("own", log, does={"request": plan})) as chain:
        book = Playbook(chain)
        book.on_pull = [lambda _: (source.write(START), source.close("gone wrong"))]
        await book.client(request())
        assert b"event: error" in book.to_client
        assert not book.to_client.endswith(b"\r\n" + WHOLE)


async def test_a_client_that_leaves_while_the_answer_comes(chain: Chain, log: list[str]) -> None:
    """The server's connection is closed, the stages settle once, as an abort."""
    book = Playbook(chain)
    await book.client(request())
    await book.server(SSE_HEAD + chunked(START))
    await book.client_leaves()
    assert book.flow.metadata["sluicegate"]["outcome"] == "client_abort"
    assert next(iter(book.sent)) in book.closed
    assert log.count("outer.settle") == 1


async def test_a_client_that_leaves_with_half_a_request(chain: Chain, log: list[str]) -> None:
    """Nothing leaves; the stages that saw the headers settle."""
    book = Playbook(chain)
    await book.client(request()[:-5])
    await book.client_leaves()
    assert book.sent == {}
    assert log == ["outer.head", "outer.settle"]


async def test_a_bug_in_the_stream_does_not_hang_the_client(log: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """mitmproxy would log a crash and leave the client waiting: native 500, the upstream connection is closed."""

    def bug(*_: object) -> None:
        raise RuntimeError("sk-ant-secret")

    monkeypatch.setattr(RetryingStream, "state_first_event", bug)
    with chain_of(Router, settings=quiet(retry=Retry(attempts=2))) as chain:
        book = Playbook(chain)
        await book.client(request())
        await book.server(SSE_HEAD + b"5\r\ndata:\r\n")
        assert book.to_client.startswith(b"HTTP/1.1 500")
        assert b"sk-ant-secret" not in book.to_client
        assert book.closed


async def test_a_deeply_nested_first_event_counts_as_an_error(log: list[str]) -> None:
    """Ten thousand brackets where an error is expected: no crash; cut into single bytes it is read once."""
    nested = b"event: error\ndata: " + b"[" * 20_000 + b"\n\n"
    with chain_of(Router, settings=quiet(retry=Retry(attempts=2, backoff=Backoff(start_s=0.01)))) as chain:
        for cut in (1, len(nested)):
            book = Playbook(chain)
            await book.client(request())
            await book.server(SSE_HEAD)
            for at in range(0, len(nested), cut):
                piece = nested[at : at + cut]
                await book.server(b"%x\r\n%s\r\n" % (len(piece), piece))
            assert len(book.sent) == 2  # taken for a failure of the provider's: asked again


async def test_a_server_that_answers_nonsense(chain: Chain) -> None:
    """A native 502 that does not quote it."""
    book = Playbook(chain)
    await book.client(request())
    await book.server(b"garbage sk-ant-secret\r\n\r\n")
    assert book.to_client.startswith(b"HTTP/1.1 502")
    assert b"garbage" not in book.to_client


@pytest.mark.parametrize("path", [b"/v1/messages", b"/health", b"/stats", b"/v1/other"])
async def test_head_has_no_body(path: bytes) -> None:
    """A body would be read as the next answer."""
    log: list[str] = []
    from sluicegate.core.errors import Refused

    with chain_of(planted("no", log, raises={"request": Refused(403, "no")})) as chain:
        book = Playbook(chain)
        await book.client(request(method=b"HEAD", path=path))
        head, _, rest = book.to_client.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 ")
        assert rest == b""


async def test_an_answer_without_a_body_has_no_frame(chain: Chain) -> None:
    """204 and 304 end with their headers; the connection carries the next answer."""
    book = Playbook(chain)
    for status in (b"204 No Content", b"304 Not Modified"):
        book.to_client = b""
        await book.client(request(path=b"/api/telemetry"))
        await book.server(b"HTTP/1.1 " + status + b"\r\n\r\n")
        head, _, rest = book.to_client.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 " + status)
        assert b"chunked" not in head.lower()
        assert rest == b""


async def test_another_addons_stream_callable_stays_outside_ours(chain: Chain) -> None:
    """It may change bytes; if it raises, the stream breaks and nothing hangs."""

    def bad(data: bytes) -> bytes:
        raise ValueError

    for other, end in [
        (bytes.upper, chunked(b"ABC") + WHOLE),
        (lambda d: [d, b"", d], chunked(b"abc") * 2 + WHOLE),
        (bad, b""),
    ]:

        class Other(Without):
            stream: Any = staticmethod(other)

            def responseheaders(self, flow: http.HTTPFlow) -> None:
                self._chain.responseheaders(flow)
                assert flow.response
                flow.response.stream = self.stream

        book = Playbook(chain)
        book.chain = Other(chain, "")  # type: ignore[assignment]
        await book.client(request(path=b"/v1/files"))
        await book.server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"abc") + WHOLE)
        assert book.to_client.endswith(end)
        assert (book.context.client in book.closed) == (other is bad)
        assert book.to_client.endswith(b"\r\n" + WHOLE) == (other is not bad)  # an id in the head may end in 0


async def test_an_error_event_is_one_event(chain: Chain) -> None:
    """The error at the end of a broken stream parses as an event of its own, even after half an event."""
    book = Playbook(chain)
    await book.client(request())
    await book.server(SSE_HEAD + chunked(START + b'event: content_block_delta\ndata: {"half'))
    await book.server_leaves()
    _, _, body = book.to_client.partition(b"\r\n\r\n")
    plain = b"".join(body.split(b"\r\n")[1::2])
    assert [e.event for e in SSEParser().feed(plain)][-1] == b"error"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("connection refused", "connection refused"),
        ("HTTP/1 protocol error: peer closed connection without sending", "the upstream closed the connection before"),
        ("unexpected server response: b'sk-secret'", "the upstream's answer cannot be read"),
        ("HTTP/1 protocol error: bad b'sk-secret'", "the upstream's answer cannot be read"),
        ("invalid header: b'sk-secret'", "invalid header"),
        ('Invalid header: b"sk-secret"', "Invalid header"),
        ("Cannot parse HTTP response: Bad HTTP response line: b'sk-secret'", "the upstream's answer cannot be read"),
        ("unexpected server response: sk-secret", "the upstream's answer cannot be read"),
        ("cannot connect to https://h: refused", "cannot connect to https://h: refused"),
        ("m" * 1000, "m" * 500),
    ],
)
def test_messages_of_the_core_quote_no_bytes(message: str, shown: str) -> None:
    """They name what happened, in at most 500 characters."""
    assert readable(message).startswith(shown)
    assert "sk-secret" not in readable(message)
    assert len(readable(message)) <= 500


async def test_a_call_that_others_listen_to_goes_on_without_its_client(chain: Chain, log: list[str]) -> None:
    """The client gets no more bytes; the stages see the answer to its end."""

    class Others:
        wanted = True

    book = Playbook(chain)
    await book.client(request())
    await book.server(SSE_HEAD + chunked(START))
    x = exchange_of(book.flow)
    assert x
    x.life.shared = Others()
    seen, before = [], book.to_client
    x.taps.observe(seen.append, name="listener")
    await book.client_leaves()
    assert book.closed == []
    assert x.life.detached
    await book.server(chunked(STOP) + WHOLE)
    assert b"".join(seen) == STOP
    assert book.to_client == before
    assert book.flow.metadata["sluicegate"]["outcome"] == "client_abort"
    assert log.count("outer.settle") == 1


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (f"[Errno {errno.ECONNREFUSED}] Connect call failed ('127.0.0.1', 9)", os.strerror(errno.ECONNREFUSED).lower()),
        (
            f"Multiple exceptions: [Errno {errno.ECONNREFUSED}] Connect call failed ('::1', 9, 0, 0), "
            f"[Errno {errno.ECONNREFUSED}] Connect call failed ('127.0.0.1', 9)",
            os.strerror(errno.ECONNREFUSED).lower(),
        ),
        ("[Errno -2] Name or service not known", "name or service not known"),
        ("[Errno 8] nodename nor servname provided, or not known", "nodename nor servname provided, or not known"),
        ("TLS handshake failed: certificate verify failed", "TLS handshake failed: certificate verify failed"),
    ],
)
def test_an_error_of_the_system_is_told_in_words(message: str, shown: str) -> None:
    """Without its number, each reason once."""
    assert plain_os_errors(message) == shown
