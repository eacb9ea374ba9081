"""Bad input, bad upstreams, clients that leave: a native error, no hang, and the gate goes on."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kits.gatekit import (
    GATE_SCRIPT,
    PASS_THROUGH,
    Gate,
    free_port,
    wait_until,
)
from kits.rawserver import (
    ASK,
    ASK_STREAM,
    DELTA,
    FIRST_EVENTS,
    LAST_CHUNK,
    MESSAGE,
    SSE_HEAD,
    Asked,
    Client,
    Got,
    HeldStream,
    Peer,
    Upstream,
    answering,
    chunk,
    error_of,
    exchange,
    head,
    post,
    post_chunked,
    reply,
    self_signed,
    settled,
    stream,
)

SCRIPTS = Path(__file__).parent / "scripts"
KEY = "sk-ant-api03-the-clients-own-key"
MAX_BODY = 50_000
MAX_UPLOAD = 80_000
LIMITED = PASS_THROUGH + f"max_body: {MAX_BODY}\nmax_upload: {MAX_UPLOAD}\n"
SHORT = PASS_THROUGH + "timeouts: {connect_s: 0.5, tls_s: 0.5}\n"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture(autouse=True)
def _clean_record(upstream: Upstream) -> None:
    upstream.forget()


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gate]:
    with Gate(
        tmp_path_factory.mktemp("gate"),
        upstream=upstream.url,
        config=LIMITED,
        scripts=[GATE_SCRIPT, SCRIPTS / "planted.py"],
    ) as running:
        yield running


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gate]]:
    with ExitStack() as running:
        yield lambda **options: running.enter_context(Gate(tmp_path / "gate", **options))


def serves(gate: Gate) -> None:
    got = exchange(gate.port, post("/v1/messages", ASK))
    assert (got.status, got.json()) == (200, MESSAGE)


def record_after(gate: Gate, count: int) -> dict[str, Any]:
    """The first record after the first `count`."""
    return gate.audit_records(count=count + 1)[count]


def last_event(got: Got) -> dict[str, Any]:
    """The data of the `event: error` that a stream ends with."""
    last = got.body.rstrip(b"\n").rpartition(b"\n\n")[2]
    name, _, data = last.partition(b"\n")
    assert name == b"event: error", got.body
    document: dict[str, Any] = json.loads(data.removeprefix(b"data: "))
    assert document["type"] == "error"
    assert document["error"]["message"]
    return document


# -- requests that make no sense
@pytest.mark.parametrize(
    "body",
    [b"{not json", b"", b"\xff\xfe\x00", b"[1,2]", b'"text"', b'{"model": 7}', b'{"a":1}' + b" " * 5 + b"\n", b"null"],
)
def test_a_body_that_is_no_request_goes_on_byte_for_byte(gate: Gate, upstream: Upstream, body: bytes) -> None:
    """What is wrong with a body is for the provider to say: it gets those very bytes."""
    answer = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}).encode()
    upstream.say(answering(reply(400, answer)))
    got = exchange(gate.port, post("/v1/messages", body))
    assert (got.status, got.body) == (400, answer)
    assert [asked.body for asked in upstream.requests] == [body]


MALFORMED = {
    "no request line": b"\x00\x01\x02\r\n\r\n",
    "one word": b"GET\r\n\r\n",
    "no version": b"GET /v1/messages\r\nhost: a\r\n\r\n",
    "header without a colon": b"POST /v1/messages HTTP/1.1\r\nhost: a\r\nx-api-key sk-quoted\r\n\r\n",
    "space before the colon": b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length : 2\r\n\r\n{}",
    "negative length": b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    "length with a sign": b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length: +2\r\n\r\n{}",
    "length that is no number": b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length: two\r\n\r\n{}",
    "two lengths": b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "length and chunked": (
        b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "unknown coding": b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, xchunked\r\n\r\n0\r\n\r\n",
    "chunk size that is no number": (
        b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"
    ),
    "chunk that is longer than it says": (
        b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_request_gets_a_native_400(gate: Gate, upstream: Upstream, kind: str) -> None:
    """What is no HTTP request is answered natively, and no byte of it goes upstream."""
    with Client(gate.port) as client:
        client.send(MALFORMED[kind])
        got = client.answer()
        assert got.status == 400
        assert "quoted" not in error_of(got)["message"]
        assert client.ended()
    assert upstream.received == b""
    serves(gate)


@pytest.mark.parametrize("huge", ["one header", "many headers", "a request line", "never ending"])
def test_a_huge_head_gets_a_native_431(gate: Gate, upstream: Upstream, huge: str) -> None:
    """A head beyond the limit is refused, whether it ends or not; the client can read why."""
    filler = b"x" * 400_000
    raw = {
        "one header": b"POST /v1/messages HTTP/1.1\r\nhost: a\r\nx-big: " + filler + b"\r\n\r\n",
        "many headers": b"POST /v1/messages HTTP/1.1\r\nhost: a\r\n" + b"x-more: 0123456789\r\n" * 20_000 + b"\r\n",
        "a request line": b"GET /" + filler + b" HTTP/1.1\r\nhost: a\r\n\r\n",
        "never ending": b"POST /v1/messages HTTP/1.1\r\nx-big: " + filler,
    }[huge]
    with Client(gate.port) as client:
        client.send(raw)
        got = client.answer()
        assert got.status == 431
        error_of(got)
    assert upstream.received == b""
    serves(gate)


def test_the_key_of_a_head_that_was_cut_off_is_logged_nowhere(gate: Gate, upstream: Upstream) -> None:
    """A client that leaves in the middle of its headers: the gate prints nothing of them."""
    secret = "sk-ant-api03-in-a-head-that-was-cut-off"
    for raw in (
        f"POST /v1/messages HTTP/1.1\r\nhost: a\r\nx-api-key: {secret}\r\ncontent-le",
        f"POST /v1/messages HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {secret}\r\n",
        f"GET /{secret} HTTP/1.1\r\nbroken {secret}\r\n\r\n",
        f"POST /v1/messages HTTP/1.1\r\nhost: a\r\nx-api-key: {secret}\r\ncontent-length: 100\r\n\r\n{{",
        f"POST /v1/messages HTTP/1.1\r\nhost: a\r\nx-api-key: {secret}\r\ncontent-length: x\r\n\r\n",
    ):
        for leave in (Client.close, Client.reset):
            with Client(gate.port) as client:
                client.send(raw.encode())
                leave(client)
    serves(gate)  # all the others have been handled before it
    assert secret not in gate.output()
    assert secret not in (gate.state_dir / "audit.jsonl").read_text()
    assert secret.encode() not in upstream.received


# -- too large
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/files"])
@pytest.mark.parametrize("framing", ["content-length", "chunked", "chunked without an end", "expect"])
def test_a_body_over_the_limit_gets_a_native_413(gate: Gate, upstream: Upstream, framing: str, path: str) -> None:
    """The client can read the answer although it is still sending; it names the config key; nothing goes upstream."""
    limit, key = (MAX_BODY, "max_body") if path == "/v1/messages" else (MAX_UPLOAD, "max_upload")
    pieces = [b"x" * 8192] * (limit // 8192 + 40)
    raw = {
        "content-length": lambda: post(path, b"".join(pieces)),
        "chunked": lambda: post_chunked(path, pieces),
        "chunked without an end": lambda: post_chunked(path, pieces).removesuffix(LAST_CHUNK),
        "expect": lambda: head("POST", path, {"content-length": "10000000", "expect": "100-continue"}),
    }[framing]()
    before = settled(gate)
    with Client(gate.port) as client:
        client.send(raw)
        if framing == "expect":
            assert client.head()[0] == 100
            client.send(b"x" * 100)
        got = client.answer()
        assert (got.status, got.complete) == (413, True)
        assert key in error_of(got)["message"]
        assert error_of(got)["type"] == "request_too_large"
    assert upstream.received == b""
    record = record_after(gate, before)
    assert (record["outcome"], record["status"]) == ("refused", 413)
    serves(gate)


def test_a_body_at_the_limit_passes(gate: Gate, upstream: Upstream) -> None:
    """The limit itself is allowed, with a length and in chunks."""
    body = b'{"x":"' + b"x" * (MAX_BODY - 8) + b'"}'
    assert len(body) == MAX_BODY
    for raw in (post("/v1/messages", body), post_chunked("/v1/messages", [body[:100], body[100:]])):
        assert exchange(gate.port, raw).status == 200
    assert [asked.body for asked in upstream.requests] == [body, body]


# -- upstreams that do not answer
def test_an_upstream_that_is_down_is_a_native_502_and_the_connection_lives_on(start: Callable[..., Gate]) -> None:
    """A keep-alive client gets 502 while the upstream is away, and its answer on the same connection when it is back."""
    port = free_port()
    gate = start(upstream=f"http://127.0.0.1:{port}")
    with Client(gate.port) as client:
        for _ in range(3):
            client.send(post("/v1/messages", ASK, {"x-api-key": KEY}))
            got = client.answer()
            assert got.status == 502
            error_of(got)
        with Upstream(port=port) as back:
            client.send(post("/v1/messages", ASK, {"x-api-key": KEY}))
            assert client.answer().json() == MESSAGE
            assert len(back.requests) == 1
        client.send(post("/v1/messages", ASK))
        assert client.answer().status == 502
        with Upstream(port=port) as back:
            back.say(stream)
            client.send(post("/v1/messages", ASK_STREAM))
            assert client.answer().status == 200
    records = gate.audit_records(count=6)
    assert [record["outcome"] for record in records] == ["failed"] * 3 + ["ok", "failed", "ok"]
    assert [record["status"] for record in records] == [502] * 3 + [200, 502, 200]


def test_a_connect_that_gets_no_answer_ends_in_time(start: Callable[..., Gate]) -> None:
    """A host that swallows the SYN: native 502 within timeouts.connect_s, not after the system's minutes."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as fillers:
        for _ in range(4):  # until the kernel drops what comes next
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        gate = start(upstream=f"http://127.0.0.1:{full.getsockname()[1]}", config=SHORT)
        got = exchange(gate.port, post("/v1/messages", ASK), timeout_s=5)
        assert got.status in (502, 504)
        assert "timeout" in error_of(got)["message"]
        record = record_after(gate, 0)
        assert record["outcome"] == "failed"
        assert 400 < record["duration_ms"] < 3000


def test_a_tls_handshake_that_gets_no_answer_ends_in_time(start: Callable[..., Gate]) -> None:
    """A host that accepts TCP and never speaks TLS: native 502 within timeouts.tls_s."""
    with Upstream(raw=lambda peer: (peer.wait_closed(), None)[1]) as silent:
        gate = start(upstream=f"https://127.0.0.1:{silent.port}", config=SHORT)
        got = exchange(gate.port, post("/v1/messages", ASK, {"x-api-key": KEY}), timeout_s=5)
        assert got.status in (502, 504)
        error_of(got)
        assert 400 < record_after(gate, 0)["duration_ms"] < 3000
        assert KEY.encode() not in silent.received


def test_a_certificate_that_can_not_be_trusted_is_a_native_502(start: Callable[..., Gate], tmp_path: Path) -> None:
    """No request goes to an upstream whose certificate does not verify."""
    context, _ = self_signed(tmp_path / "tls", "127.0.0.1")
    with Upstream(tls=context) as impostor:
        gate = start(upstream=impostor.url)
        got = exchange(gate.port, post("/v1/messages", ASK, {"x-api-key": KEY}))
        assert got.status == 502
        error_of(got)
        assert impostor.requests == []


GARBAGE = {
    "text": answering(b"SECRET-GARBAGE that is no HTTP\r\n\r\n", then="close"),
    "binary": answering(b"\x16\x03\x01SECRET-GARBAGE\x00\xff\r\n\r\n", then="close"),
    "a bad header": answering(b"HTTP/1.1 200 OK\r\nSECRET-GARBAGE\r\n\r\n", then="close"),
    "a bad length": answering(b"HTTP/1.1 200 OK\r\ncontent-length: SECRET-GARBAGE\r\n\r\n", then="close"),
    "half a head": answering(b"HTTP/1.1 200 OK\r\nx-a: SECRET-GARBAGE", then="close"),
    "a bad status": answering(b"HTTP/1.1 abc SECRET-GARBAGE\r\n\r\n", then="close"),
    "nothing": answering(b"", then="close"),
    "a reset": answering(b"", then="reset"),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_what_is_no_answer_is_a_native_502_that_does_not_quote_it(gate: Gate, upstream: Upstream, kind: str) -> None:
    """Whatever an upstream says instead of HTTP stays between it and the gate."""
    upstream.say(GARBAGE[kind])
    before = settled(gate)
    with Client(gate.port) as client:
        client.send(post("/v1/messages", ASK, {"x-api-key": KEY}))
        got = client.answer()
        assert got.status == 502
        assert "SECRET-GARBAGE" not in error_of(got)["message"]
        record = record_after(gate, before)
        assert record["outcome"] == "failed"
        assert "SECRET-GARBAGE" not in json.dumps(record)
        client.send(post("/v1/messages", ASK))
        assert client.answer().json() == MESSAGE
    assert len(upstream.requests) == 2


# -- answers that do not end well
def test_a_json_answer_that_is_cut_is_not_delivered_as_whole(gate: Gate, upstream: Upstream) -> None:
    """Fewer bytes than the upstream announced: a failed attempt, and then an error."""
    whole = reply(body=json.dumps(MESSAGE).encode())
    for then in ("close", "reset"):
        upstream.say(answering(whole[:-20], then=then))
        got = exchange(gate.port, post("/v1/messages", ASK))
        assert got.status == 502, got
    assert [record["outcome"] for record in gate.audit_records()[-2:]] == ["failed", "failed"]
    serves(gate)


BEGINNING = SSE_HEAD + chunk(FIRST_EVENTS) + chunk(DELTA)
BROKEN_STREAMS = {
    "a clean end before message_stop": answering(BEGINNING + LAST_CHUNK),
    "a close": answering(BEGINNING, then="close"),
    "a reset": answering(BEGINNING, then="reset"),
    "a cut chunk": answering(BEGINNING + b"40\r\nevent: content_bl", then="close"),
    "garbage for a chunk": answering(BEGINNING + b"SECRET-GARBAGE\r\n", then="close"),
}


@pytest.mark.parametrize("kind", BROKEN_STREAMS)
def test_a_stream_that_breaks_ends_with_an_error_event_and_an_abort(gate: Gate, upstream: Upstream, kind: str) -> None:
    """The client gets what came, then `event: error`, then an unterminated body: never what looks complete."""
    upstream.say(BROKEN_STREAMS[kind])
    before = settled(gate)
    got = exchange(gate.port, post("/v1/messages", ASK_STREAM))
    assert got.status == 200
    assert got.body.startswith(FIRST_EVENTS[:100])
    assert "SECRET-GARBAGE" not in last_event(got)["error"]["message"]
    assert not got.complete
    assert record_after(gate, before)["outcome"] == "truncated"
    serves(gate)


def test_a_streams_own_error_event_passes_as_it_is(gate: Gate, upstream: Upstream) -> None:
    """A provider's `event: error` in the middle is an answer, not a broken stream: passed on, ended cleanly, recorded."""
    error = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    upstream.say(answering(BEGINNING + chunk(error) + LAST_CHUNK))
    before = settled(gate)
    got = exchange(gate.port, post("/v1/messages", ASK_STREAM))
    assert got.complete
    assert got.body == FIRST_EVENTS + DELTA + error
    assert record_after(gate, before)["error"] == "overloaded_error"


# -- clients that leave
@pytest.mark.parametrize("leave", [Client.close, Client.reset], ids=["close", "reset"])
def test_a_client_that_leaves_a_stream_ends_the_call_upstream(
    gate: Gate, upstream: Upstream, leave: Callable[[Client], None]
) -> None:
    """Within a second the upstream sees the connection close, and the record says client_abort."""
    held = HeldStream()
    upstream.say(held)
    before = settled(gate)
    with Client(gate.port) as client:
        client.send(post("/v1/messages", ASK_STREAM))
        client.until(b"content_block_start")
        leave(client)
        assert held.left.wait(1), "the upstream still streams"
    record = record_after(gate, before)
    assert record["outcome"] == "client_abort"
    assert record["input_tokens"] == 10  # what was spent by then is on the record
    assert gate.get("/stats").json()["run"]["active"] == 0


def test_a_client_that_leaves_before_the_answer_ends_the_call_upstream(gate: Gate, upstream: Upstream) -> None:
    """While the upstream thinks: it sees the close, and the record says client_abort."""
    seen: list[bool] = []

    def think(peer: Peer, _: Asked) -> None:
        seen.append(peer.wait_closed(5))

    upstream.say(think)
    before = settled(gate)
    with Client(gate.port) as client:
        client.send(post("/v1/messages", ASK))
        upstream.wait_for(1)
    wait_until(lambda: seen, "the close upstream", 1)
    assert seen == [True]
    assert record_after(gate, before)["outcome"] == "client_abort"


@pytest.mark.parametrize("leave", [Client.close, Client.reset], ids=["close", "reset"])
@pytest.mark.parametrize("trouble", ["wait", "wait-blindly"])
def test_a_client_that_leaves_while_a_stage_waits_has_nothing_sent(
    gate: Gate, upstream: Upstream, trouble: str, leave: Callable[[Client], None]
) -> None:
    """Whether the stage watches for it or not: no call upstream, one record, client_abort."""
    before = settled(gate)
    with Client(gate.port) as client:
        client.send(post("/v1/messages", ASK, {"x-trouble": trouble}))
        wait_until(lambda: gate.get("/stats").json()["run"]["active"] == 1, "the request in the stages")
        leave(client)
        assert record_after(gate, before)["outcome"] == "client_abort"
    serves(gate)
    assert len(upstream.requests) == 1  # that of serves()
    wait_until(lambda: gate.get("/stats").json()["run"]["active"] == 0, "the end of the wait")


def test_a_client_that_leaves_in_its_own_body_has_nothing_sent(gate: Gate, upstream: Upstream) -> None:
    """Half a request is no request."""
    before = settled(gate)
    for raw in (
        post("/v1/messages", ASK)[:-10],
        post_chunked("/v1/messages", [b'{"model":', b'"a"}']).removesuffix(LAST_CHUNK),
    ):
        with Client(gate.port) as client:
            client.send(raw)
            wait_until(lambda: gate.get("/stats").json()["run"]["active"] == 1, "the request at the gate")
        assert gate.audit_records(count=before + 1)[-1]["outcome"] == "client_abort"
        before += 1
    assert upstream.received == b""
    serves(gate)


def test_pipelined_requests_are_answered_in_order(gate: Gate, upstream: Upstream) -> None:
    """Two requests in one write: two calls, two answers, two records."""
    before = settled(gate)
    with Client(gate.port) as client:
        client.send(post("/v1/messages", ASK) + post("/v1/messages", {**ASK, "max_tokens": 17}))
        assert client.answer().status == 200
        assert client.answer().status == 200
    assert [json.loads(asked.body)["max_tokens"] for asked in upstream.requests] == [16, 17]
    assert len(gate.audit_records(count=before + 2)) == before + 2
