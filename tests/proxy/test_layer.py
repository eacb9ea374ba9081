"""GateLayer and GateStream, read as transcripts: what the client sends, what leaves, what comes back."""

from collections.abc import Iterator
from typing import Any

import pytest
from mitmproxy import http

from kits.playbook import Playbook
from sluicegate.core.wire.sse import SSEParser
from sluicegate.exchange.bodies import ByteSource
from sluicegate.exchange.exchange import exchange_of
from sluicegate.exchange.release import Target
from sluicegate.gate.chain import Chain
from sluicegate.proxy.retrying import RetryingStream
from sluicegate.settings.retry import (
    Backoff,
    Retry,
)
from sluicegate.stages import Router
from sluicegate.testing import chain_of, planted, quiet

KEY = b"sk-ant-api03-client"
BODY = b'{"model":"claude-haiku-4-5"}'


def request(body: bytes = BODY, *extra: bytes, method: bytes = b"POST", path: bytes = b"/v1/messages") -> bytes:
    lines = [b"%s %s HTTP/1.1" % (method, path), b"Host: localhost:4000", b"x-api-key: " + KEY, *extra]
    if method == b"POST":
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body if method == b"POST" else b"")


def answer(body: bytes, *extra: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *extra]) + b"\r\n\r\n" + body


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
START = b'event: message_start\ndata: {"type":"message_start","message":{"model":"m","usage":{"input_tokens":1}}}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
WHOLE = b"0\r\n\r\n"


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def chain(log: list[str]) -> Iterator[Chain]:
    with chain_of(planted("outer", log), Router) as chain:
        yield chain


async def test_a_released_request_goes_out_and_its_answer_comes_back(chain: Chain, log: list[str]) -> None:
    """The server sees its own Host and the client's key; the flow never holds the key; the connection goes on."""
    book = Playbook(chain)
    for _ in range(2):
        book.to_client = b""
        await book.client(request())
        assert book.to_server.endswith(BODY)
        await book.server(answer(b'{"type":"message"}', b"Content-Type: application/json"))
        assert book.to_client.endswith(b'{"type":"message"}')
        assert KEY not in bytes(book.flow.request.headers)
    assert len(book.sent) == 1
    head = book.to_server.partition(b"\r\n\r\n")[0].lower()
    assert b"host: api.test\r\n" in head
    assert b"x-api-key: " + KEY in head
    assert b"localhost" not in head
    assert log.count("outer.settle") == 2
    assert book.closed == []


async def test_nothing_leaves_without_a_release(chain: Chain) -> None:
    """Where the hooks do not run, or end without a release, no server is even dialled; the client is told natively."""
    for hook in ("requestheaders", "request"):
        book = Playbook(chain)
        book.chain = _Without(chain, hook)  # type: ignore[assignment]
        await book.client(request())
        assert book.sent == {}
        assert b'"api_error"' in book.to_client
        assert KEY not in book.to_client


class _Without:
    """A chain that lacks one hook, as if it had raised there."""

    def __init__(self, chain: Chain, missing: str) -> None:
        self._chain, self._missing = chain, missing

    def __getattr__(self, name: str) -> Any:
        return None if name == self._missing else getattr(self._chain, name)


@pytest.mark.parametrize(
    "edit",
    [
        lambda f: setattr(f.request, "content", b"edited"),
        lambda f: setattr(f.request, "path", "/v1/other"),
        lambda f: f.request.headers.__setitem__("x-new", "1"),
        lambda f: setattr(f.request, "host", "evil.test"),
    ],
)
async def test_an_edit_after_the_release_is_stopped(chain: Chain, edit: Any) -> None:
    """Another addon changes the request behind our back: it does not leave."""

    class Meddler(_Without):
        def request(self, flow: http.HTTPFlow) -> Any:
            waiting = self._chain.request(flow)
            edit(flow)
            return waiting

    book = Playbook(chain)
    book.chain = Meddler(chain, "")  # type: ignore[assignment]
    await book.client(request())
    assert book.to_server == b""
    assert b"changed after its release" in book.to_client
    assert book.flow.metadata["sluicegate"]["outcome"] == "denied"
    assert chain.services.alarms["seal.denied"] == 1


async def test_streaming_requests_are_collected_all_the_same(chain: Chain, log: list[str]) -> None:
    """Neither `request.stream` nor large-body options get a body past the stages."""

    class Streamer(_Without):
        def requestheaders(self, flow: http.HTTPFlow) -> None:
            self._chain.requestheaders(flow)
            flow.request.stream = True

    book = Playbook(chain)
    book.chain = Streamer(chain, "")  # type: ignore[assignment]
    await book.client(request())
    assert book.to_server == b""


async def test_large_bodies_are_collected_or_refused() -> None:
    """Up to the limit a body is whole before a stage sees it; beyond it: a native 413, and nothing leaves."""
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
    """From the tap's fault on the client gets no byte of the answer; the server is told to stop."""

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
    """Nothing leaves; what heads have reserved is settled."""
    book = Playbook(chain)
    await book.client(request()[:-5])
    await book.client_leaves()
    assert book.sent == {}
    assert log == ["outer.head", "outer.settle"]


async def test_a_server_that_can_not_be_reached(chain: Chain) -> None:
    """A native 502; the next request tries again."""
    book = Playbook(chain, connect_error="connection refused")
    await book.client(request())
    assert book.to_client.startswith(b"HTTP/1.1 502")
    assert b'"api_error"' in book.to_client
    assert book.flow.metadata["sluicegate"]["outcome"] == "failed"
    book.connect_error, book.to_client = None, b""
    await book.client(request())
    await book.server(answer(b"{}"))
    assert book.to_client.endswith(b"{}")


SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


async def test_a_bug_in_the_stream_does_not_hang_the_client(log: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """mitmproxy would log a crash and leave the client waiting: native 500, the upstream connection is closed."""

    def bug(*_: object) -> None:
        raise RuntimeError("sk-ant-secret")

    monkeypatch.setattr(RetryingStream, "state_first_event", bug)
    with chain_of(Router, settings=quiet(retry=Retry(attempts=2))) as chain:
        book = Playbook(chain)
        await book.client(request())
        await book.server(SSE + b"5\r\ndata:\r\n")
        assert book.to_client.startswith(b"HTTP/1.1 500")
        assert b"sk-ant-secret" not in book.to_client
        assert book.closed


async def test_a_first_event_that_nests_for_ever_passes_as_an_error(log: list[str]) -> None:
    """Ten thousand brackets where an error is expected: no crash; cut into single bytes it is read once, not anew each."""
    nested = b"event: error\ndata: " + b"[" * 20_000 + b"\n\n"
    with chain_of(Router, settings=quiet(retry=Retry(attempts=2, backoff=Backoff(start_s=0.01)))) as chain:
        for cut in (1, len(nested)):
            book = Playbook(chain)
            await book.client(request())
            await book.server(SSE)
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
    """What followed its headers would be read as the next answer."""
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


async def test_requests_that_can_not_be_read_are_answered_natively(chain: Chain) -> None:
    """400 and 431 in JSON, without quoting what came."""
    book = Playbook(chain)
    await book.client(b"GET / HTTP/1.1\r\nbad header " + KEY + b"\r\n\r\n")
    assert book.to_client.startswith(b"HTTP/1.1 400")
    assert b"invalid_request_error" in book.to_client
    assert KEY not in book.to_client
    book = Playbook(chain)
    for _ in range(300):
        await book.client(b"x" * 1024)
        if book.to_client:
            break
    assert book.to_client.startswith(b"HTTP/1.1 431")


async def test_another_addons_stream_callable_stays_outside_ours(chain: Chain) -> None:
    """It may change bytes; where it raises, the stream breaks and nothing hangs."""

    def bad(data: bytes) -> bytes:
        raise ValueError

    for other, end in [
        (bytes.upper, chunked(b"ABC") + WHOLE),
        (lambda d: [d, b"", d], chunked(b"abc") * 2 + WHOLE),
        (bad, b""),
    ]:

        class Other(_Without):
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
    """What is said at the end of a broken stream parses as an event of its own, even after half an event."""
    book = Playbook(chain)
    await book.client(request())
    await book.server(SSE_HEAD + chunked(START + b'event: content_block_delta\ndata: {"half'))
    await book.server_leaves()
    _, _, body = book.to_client.partition(b"\r\n\r\n")
    plain = b"".join(body.split(b"\r\n")[1::2])
    assert [e.event for e in SSEParser().feed(plain)][-1] == b"error"


async def test_the_exchange_is_let_go_of(chain: Chain) -> None:
    """After a clean end nothing hangs on the flow."""
    book = Playbook(chain)
    await book.client(request())
    await book.server(answer(b"{}"))
    assert exchange_of(book.flow) is None


@pytest.mark.parametrize("error", [ValueError("sk-secret"), KeyboardInterrupt()])
async def test_a_credential_that_can_not_be_had_stops_the_request(log: list[str], error: BaseException) -> None:
    """Sealing fails at the last moment: no byte leaves, the client gets a native 500 that says nothing of the secret."""

    def credential(_: http.Request) -> Any:
        raise error

    def choose(x: Any) -> None:
        x.routing.target = Target(False, "api.test", 80, credential=credential)

    with chain_of(planted("outer", log), planted("router", log, does={"request": choose})) as chain:
        book = Playbook(chain)
        await book.client(request())
        assert book.to_server == b""
        assert book.to_client.startswith(b"HTTP/1.1 500")
        assert b"sk-secret" not in book.to_client
        assert book.flow.metadata["sluicegate"]["outcome"] == "denied"
        assert log.count("outer.settle") == 1
