"""The doors: how clients come in, what passes untouched, who may see the gate's own pages."""

import gzip
import json
import os
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import brotli
import h2.config
import h2.connection
import h2.events
import pytest

from kits.gatekit import (
    BIN,
    GATE_SCRIPT,
    PASS_THROUGH,
    Gate,
    Process,
    clean_env,
    free_port,
    request,
    wait_until,
)
from kits.own_address import own_address
from kits.rawserver import (
    ASK,
    ASK_STREAM,
    DELTA,
    FIRST_EVENTS,
    LAST_CHUNK,
    LAST_EVENTS,
    MESSAGE,
    SSE_HEAD,
    Asked,
    Client,
    Got,
    Peer,
    Upstream,
    answering,
    chunk,
    error_of,
    exchange,
    head,
    message,
    post,
    post_chunked,
    self_signed,
    settled,
    stream,
)
from sluicegate.core.wire import zstd

KEY = "sk-ant-api03-the-clients-own-key"
PROXY_USER = "company:pass%20word"
PROXY_PLAIN = "company:pass word"
NO_CONFIG = 'audit: {log: "file:${STATE}/audit.jsonl"}\n'
type Start = Callable[..., Gate]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture(autouse=True)
def _clean_record(upstream: Upstream) -> None:
    upstream.forget()


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gate]:
    """Both doors; the built-in provider is led to the test's own upstream."""
    with Gate(tmp_path_factory.mktemp("gate"), upstream=upstream.url, regular=True) as running:
        yield running


@pytest.fixture
def start(tmp_path: Path, upstream: Upstream) -> Iterator[Start]:
    with ExitStack() as running:

        def begin(name: str = "gate", **options: object) -> Gate:
            options.setdefault("upstream", upstream.url)
            return running.enter_context(Gate(tmp_path / name, name=name, **options))  # type: ignore[arg-type]

        yield begin


def through_tls(gate: Gate, name: str, raw: bytes, headers: Mapping[str, str] | None = None) -> Got:
    """One request by CONNECT and TLS through the regular door, the gate's CA alone being trusted."""
    with Client(gate.proxy_port) as client:
        assert client.connect(f"{name}:443", headers).status == 200
        client.start_tls(name, gate.ca_cert)
        client.send(raw)
        return client.answer()


# -- reverse and regular
def test_the_reverse_door(gate: Gate, upstream: Upstream) -> None:
    """A base URL: the request arrives as it was, with the upstream's own Host."""
    before = settled(gate)
    got = exchange(gate.port, post("/v1/messages?beta=true", ASK, {"x-api-key": KEY, "x-custom": "a, b"}))
    assert (got.status, got.json()) == (200, MESSAGE)
    asked = upstream.requests[0]
    assert (asked.method, asked.target) == ("POST", "/v1/messages?beta=true")
    assert asked.all("host") == [f"127.0.0.1:{upstream.port}"]
    assert (asked.all("x-api-key"), asked.all("x-custom")) == ([KEY], ["a, b"])
    assert json.loads(asked.body) == ASK
    assert gate.audit_records(count=before + 1)[before]["door"] == "reverse"


def test_a_ca_that_another_process_made_at_the_same_moment_is_used(tmp_path: Path) -> None:
    """mitmdump's as well: clients trust the file in the folder, which holds the last one."""

    def trusted() -> bool:
        try:
            got = through_tls(gate, "sluicegate.local", head("GET", "/health", {"host": "sluicegate.local"}))
        except ssl.SSLError:
            return False
        return got.status == 200

    with Gate(
        tmp_path / "gate", regular=True, scripts=(GATE_SCRIPT, Path(__file__).parent / "scripts" / "another_ca.py")
    ) as gate:
        wait_until(trusted, "the gate to use the CA of the folder")
        assert "another CA was made" in gate.output()


def test_the_regular_door_opens_a_providers_tls_with_the_gates_ca(gate: Gate, upstream: Upstream) -> None:
    """https://api.anthropic.com by CONNECT: a certificate of the gate's CA, and the routes decide where it goes."""
    before = settled(gate)
    fields = {"host": "api.anthropic.com", "x-api-key": KEY}
    got = through_tls(gate, "api.anthropic.com", post("/v1/messages", ASK, fields))
    assert (got.status, got.json()) == (200, MESSAGE)
    assert upstream.requests[0].all("host") == [f"127.0.0.1:{upstream.port}"]
    assert upstream.requests[0].target == "/v1/messages"
    assert upstream.requests[0].all("x-api-key") == [KEY]
    assert gate.audit_records(count=before + 1)[before]["door"] == "regular"


def test_a_stream_through_the_regular_door(gate: Gate, upstream: Upstream) -> None:
    """SSE in a tunnel, event by event."""
    upstream.say(stream)
    got = through_tls(gate, "api.anthropic.com", post("/v1/messages", ASK_STREAM, {"host": "api.anthropic.com"}))
    assert (got.status, got.complete) == (200, True)
    assert got.body == FIRST_EVENTS + DELTA + LAST_EVENTS


def test_the_name_in_the_tls_makes_a_connection_a_providers(gate: Gate, upstream: Upstream) -> None:
    """CONNECT to an address, SNI of a provider: opened, and routed as the provider's."""
    with Client(gate.proxy_port) as client:
        assert client.connect("192.0.2.200:443").status == 200
        client.start_tls("api.anthropic.com", gate.ca_cert)
        client.send(post("/v1/messages", ASK, {"host": "api.anthropic.com"}))
        assert client.answer().json() == MESSAGE
    assert len(upstream.requests) == 1


def test_plain_http_through_the_regular_door(gate: Gate, upstream: Upstream) -> None:
    """A proxy request in absolute form: origin form upstream, without Proxy-Authorization and Proxy-Connection."""
    fields = {"proxy-authorization": "Basic Zm9vOmJhcg==", "proxy-connection": "keep-alive", "x-api-key": KEY}
    got = exchange(gate.proxy_port, post(f"{upstream.url}/v1/messages", ASK, fields))
    assert (got.status, got.json()) == (200, MESSAGE)
    asked = upstream.requests[0]
    assert asked.target == "/v1/messages"
    assert {name.lower() for name, _ in asked.headers}.isdisjoint({"proxy-authorization", "proxy-connection"})


def test_plain_http_to_any_other_host_passes(gate: Gate, upstream: Upstream) -> None:
    """A host that is no provider's gets what the client sent, byte for byte."""
    before = settled(gate)
    got = exchange(
        gate.proxy_port, post(f"http://localhost:{upstream.port}/anything?x=1", b"\x00\x01", {"host": "localhost"})
    )
    assert got.status == 200
    assert (upstream.requests[0].target, upstream.requests[0].body) == ("/anything?x=1", b"\x00\x01")
    assert gate.audit_records(count=before + 1)[before]["surface"] not in ("messages", "count_tokens")


def test_other_hosts_are_tunnelled_undecrypted(gate: Gate, tmp_path: Path) -> None:
    """TLS to a host that is no provider's: the client sees that host's own certificate."""
    context, certificate = self_signed(tmp_path / "tls", "localhost")
    with Upstream(tls=context) as other, Client(gate.proxy_port) as client:
        assert client.connect(f"localhost:{other.port}").status == 200
        tls = client.start_tls("localhost")
        assert tls.getpeercert(binary_form=True) == certificate
        client.send(post("/v1/messages", ASK, {"x-api-key": KEY}))
        assert client.answer().json() == MESSAGE
        assert other.requests[0].all("x-api-key") == [KEY]
        assert other.requests[0].all("host") == ["gate.test"]


def test_an_address_without_a_name_is_tunnelled_undecrypted(start: Start, tmp_path: Path) -> None:
    """No SNI and an address in the CONNECT: nobody knows whose it is, so it is not opened."""
    gate = start(regular=True, config=NO_CONFIG, upstream="https://api.anthropic.com")
    context, certificate = self_signed(tmp_path / "tls", "127.0.0.1")
    with Upstream(tls=context) as other, Client(gate.proxy_port) as client:
        assert client.connect(f"127.0.0.1:{other.port}").status == 200
        assert client.start_tls(None).getpeercert(binary_form=True) == certificate
        client.send(post("/", b"x"))
        assert client.answer().status == 200


def test_an_https_base_url_is_spoken_to_over_tls(start: Start, tmp_path: Path) -> None:
    """http at the door, TLS to the provider: origin form, the provider's Host, its certificate checked."""
    context, _ = self_signed(tmp_path / "tls", "127.0.0.1")
    with Upstream(tls=context) as secure:
        gate = start(
            upstream=secure.url,
            regular=True,
            options={"ssl_verify_upstream_trusted_ca": str(tmp_path / "tls" / "own.pem")},
        )
        assert exchange(gate.port, post("/v1/messages", ASK)).json() == MESSAGE
        absolute = post("http://api.anthropic.com/v1/messages", ASK, {"host": "api.anthropic.com"})
        assert exchange(gate.proxy_port, absolute).json() == MESSAGE
        for asked in secure.requests:
            assert asked.target == "/v1/messages"
            assert asked.all("host") == [f"127.0.0.1:{secure.port}"]


# -- through a company's proxy
@pytest.fixture
def company(start: Start) -> Gate:
    """A mitmdump of the company: asks for a password, and tunnels all TLS."""
    return start(
        "company",
        bare=True,
        modes=(),
        regular=True,
        options={"ignore_hosts": ".*", "flow_detail": "1", "ssl_insecure": "true"},
        arguments=["--proxyauth", PROXY_PLAIN],
    )


@pytest.fixture
def open_company(start: Start) -> Gate:
    """The same without a password."""
    return start("company", bare=True, modes=(), regular=True, options={"flow_detail": "1"})


class UpstreamDoor(Gate):
    """The regular door's port, in mitmproxy's upstream mode."""

    company_url = ""

    def command(self) -> list[str]:
        return [part.replace("regular@", f"upstream:{self.company_url}@") for part in super().command()]


@pytest.fixture
def start_upstream_door(tmp_path: Path, upstream: Upstream) -> Iterator[Callable[..., UpstreamDoor]]:
    with ExitStack() as running:

        def begin(company: Gate, **options: str) -> UpstreamDoor:
            gate = UpstreamDoor(tmp_path / "gate", upstream=upstream.url, modes=(), regular=True, options=options)
            gate.company_url = company.proxy_url
            return running.enter_context(gate)

        yield begin


def test_the_upstream_mode_goes_through_the_companys_proxy(
    start_upstream_door: Callable[..., UpstreamDoor], open_company: Gate, upstream: Upstream
) -> None:
    """mitmdump --mode upstream: a client's proxy request, staged here, reaches the provider through the company's proxy."""
    gate = start_upstream_door(open_company)
    got = exchange(gate.proxy_port, post(f"{upstream.url}/v1/messages", ASK, {"x-api-key": KEY}))
    assert got.json() == MESSAGE
    open_company.wait_for_output(f"{upstream.url}/v1/messages")
    got = through_tls(gate, "api.anthropic.com", post("/v1/messages", ASK, {"host": "api.anthropic.com"}))
    assert got.json() == MESSAGE
    wait_until(lambda: open_company.output().count("/v1/messages") >= 2, "both at the company's proxy")
    assert [asked.target for asked in upstream.requests] == ["/v1/messages"] * 2
    assert {record["door"] for record in gate.audit_records(count=2)} == {"upstream"}


def test_run_with_a_company_proxy_and_its_password(start: Start, company: Gate, upstream: Upstream) -> None:
    """`sluicegate run --upstream http://user:password@…`: both doors go through it; the password goes to nobody else."""
    proxy = company.proxy_url.replace("http://", f"http://{PROXY_USER}@")
    gate = start(program="sluicegate", regular=True, arguments=["--upstream", proxy])
    assert exchange(gate.port, post("/v1/messages", ASK, {"x-api-key": KEY})).json() == MESSAGE
    fields = {"host": "api.anthropic.com", "proxy-authorization": "Basic Y2xpZW50OnNlY3JldA=="}
    assert through_tls(gate, "api.anthropic.com", post("/v1/messages", ASK, fields)).json() == MESSAGE
    assert exchange(gate.proxy_port, post(f"{upstream.url}/v1/messages", ASK, fields)).json() == MESSAGE
    assert [asked.target for asked in upstream.requests] == ["/v1/messages"] * 3
    assert b"proxy-authorization" not in upstream.received.lower()
    for text in (gate.output(), gate.get("/debug").text, (gate.state_dir / "audit.jsonl").read_text()):
        assert "pass word" not in text
        assert "pass%20word" not in text
    company.stop()
    assert exchange(gate.port, post("/v1/messages", ASK)).status == 502  # nothing goes around the proxy
    assert len(upstream.requests) == 3


def test_run_with_a_company_proxy_and_tls_upstream(start: Start, company: Gate, tmp_path: Path) -> None:
    """An https provider behind the company's proxy: CONNECT with the password, TLS with the provider itself."""
    context, _ = self_signed(tmp_path / "tls", "127.0.0.1")
    proxy = company.proxy_url.replace("http://", f"http://{PROXY_USER}@")
    with Upstream(tls=context) as secure:
        gate = start(
            program="sluicegate",
            upstream=secure.url,
            regular=True,
            arguments=["--upstream", proxy],
            options={"ssl_verify_upstream_trusted_ca": str(tmp_path / "tls" / "own.pem")},
        )
        assert exchange(gate.port, post("/v1/messages", ASK, {"x-api-key": KEY})).json() == MESSAGE
        fields = {"host": "api.anthropic.com"}
        assert through_tls(gate, "api.anthropic.com", post("/v1/messages", ASK, fields)).json() == MESSAGE
        assert [asked.target for asked in secure.requests] == ["/v1/messages"] * 2
        assert b"proxy-authorization" not in secure.received.lower()


def test_a_wrong_password_for_the_companys_proxy_is_a_native_error(start: Start, company: Gate, upstream: Upstream) -> None:
    """A 407 of the company's proxy tells the client natively; nothing reaches the provider."""
    proxy = company.proxy_url.replace("http://", "http://company:WRONG-PASSWORD@")
    gate = start(program="sluicegate", arguments=["--upstream", proxy])
    got = exchange(gate.port, post("/v1/messages", ASK))
    assert got.status >= 400
    assert b"WRONG-PASSWORD" not in got.body
    assert "WRONG-PASSWORD" not in gate.output()
    assert upstream.received == b""


def test_upstream_auth_of_mitmproxy_reaches_the_proxy_only(
    start_upstream_door: Callable[..., UpstreamDoor], company: Gate, upstream: Upstream
) -> None:
    """mitmdump --mode upstream with --upstream-auth: the company's proxy lets it pass, the provider does not see it."""
    gate = start_upstream_door(company, upstream_auth=PROXY_PLAIN)
    assert exchange(gate.proxy_port, post(f"{upstream.url}/v1/messages", ASK)).json() == MESSAGE
    got = through_tls(gate, "api.anthropic.com", post("/v1/messages", ASK, {"host": "api.anthropic.com"}))
    assert got.json() == MESSAGE
    assert len(upstream.requests) == 2
    assert b"authorization" not in upstream.received.lower()


def test_upstream_auth_is_refused_beside_a_reverse_door(tmp_path: Path) -> None:
    """There mitmproxy would send the company's password to the provider."""
    gate = Gate(tmp_path, options={"upstream_auth": PROXY_PLAIN})
    with pytest.raises(AssertionError):
        gate.start()
    assert "upstream_auth is not allowed with a reverse door, which would send it to the provider" in gate.output()


def test_a_provider_may_go_around_the_companys_proxy(start: Start, company: Gate, upstream: Upstream) -> None:
    """providers.X.proxy: none."""
    config = NO_CONFIG + 'providers: {near: {kind: anthropic, base_url: "${UPSTREAM}", proxy: none}}\n'
    proxy = company.proxy_url.replace("http://", f"http://{PROXY_USER}@")
    gate = start(program="sluicegate", config=config, arguments=["--upstream", proxy])
    company.stop()
    assert exchange(gate.port, post("/v1/messages", ASK)).json() == MESSAGE


def test_tunnels_go_through_the_companys_proxy_as_well(start: Start, company: Gate, tmp_path: Path) -> None:
    """`sluicegate run --upstream`: what is tunnelled undecrypted leaves the same way, with the same password."""
    proxy = company.proxy_url.replace("http://", f"http://{PROXY_USER}@")
    gate = start(program="sluicegate", regular=True, arguments=["--upstream", proxy])
    context, certificate = self_signed(tmp_path / "tls", "localhost")
    with Upstream(tls=context) as other:
        with Client(gate.proxy_port) as client:
            assert client.connect(f"localhost:{other.port}").status == 200
            assert client.start_tls("localhost").getpeercert(binary_form=True) == certificate
            client.send(post("/", b"x"))
            assert client.answer().status == 200
        company.stop()
        with Client(gate.proxy_port) as client:
            client.connect(f"localhost:{other.port}")
            with pytest.raises(OSError):  # cut in the handshake
                client.start_tls("localhost")
        assert len(other.requests) == 1


# -- HTTP/2
class H2Client:
    """Just enough of HTTP/2 (RFC 9113) to send requests and read answers."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    def send(self, authority: str, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> int:
        sid: int = self.h2.get_next_available_stream_id()
        fields = [(":method", "POST"), (":scheme", "https"), (":authority", authority), (":path", path)]
        self.h2.send_headers(sid, [*fields, ("content-type", "application/json"), *(headers or {}).items()])
        for at in range(0, len(body), 16_000):
            self.h2.send_data(sid, body[at : at + 16_000])
        self.h2.end_stream(sid)
        self.flush()
        return sid

    def answers(self, *wanted: int) -> dict[int, Got]:
        """The answers on these streams; not complete where the stream was reset."""
        heads: dict[int, list[tuple[str, str]]] = {}
        bodies: dict[int, bytes] = {}
        done: dict[int, bool] = {}
        while set(wanted) - set(done):
            data = self.sock.recv(65536)
            assert data, "the connection ended"
            for event in self.h2.receive_data(data):
                match event:
                    case h2.events.ResponseReceived():
                        heads[event.stream_id] = list(event.headers)
                    case h2.events.DataReceived():
                        bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                        self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    case h2.events.StreamEnded():
                        done[event.stream_id] = True
                    case h2.events.StreamReset():
                        done[event.stream_id] = False
                    case h2.events.ConnectionTerminated():
                        raise AssertionError(f"GOAWAY {event.error_code}")
            self.flush()
        got = {}
        for sid in wanted:
            fields = heads.get(sid, [(":status", "0")])
            got[sid] = Got(int(dict(fields)[":status"]), fields, bodies.get(sid, b""), complete=done[sid])
        return got


@pytest.fixture
def h2_client(gate: Gate) -> Iterator[H2Client]:
    with Client(gate.proxy_port) as client:
        assert client.connect("api.anthropic.com:443").status == 200
        tls = client.start_tls("api.anthropic.com", gate.ca_cert, alpn=["h2", "http/1.1"])
        assert tls.selected_alpn_protocol() == "h2"
        yield H2Client(tls)


def test_many_streams_of_one_http2_client_run_at_once(h2_client: H2Client, upstream: Upstream) -> None:
    """More than mitmproxy's five connections: no answer is given until all twelve requests are with the upstream."""
    all_there = threading.Barrier(12, timeout=20)

    def wait_for_the_others(peer: Peer, asked: Asked) -> None:
        all_there.wait()
        message(peer, asked)

    upstream.say(*[wait_for_the_others] * 12)
    streams = [h2_client.send("api.anthropic.com", "/v1/messages", json.dumps(ASK).encode()) for _ in range(12)]
    assert [got.json() for got in h2_client.answers(*streams).values()] == [MESSAGE] * 12


def test_http2_clients(h2_client: H2Client, upstream: Upstream) -> None:
    """Several requests on one HTTP/2 connection, JSON and SSE: bodies byte for byte, credentials upstream only once."""
    upstream.say(answering(SSE_HEAD + chunk(FIRST_EVENTS) + chunk(DELTA) + chunk(LAST_EVENTS) + LAST_CHUNK))
    first = h2_client.send("api.anthropic.com", "/v1/messages", json.dumps(ASK_STREAM).encode(), {"x-api-key": KEY})
    got = h2_client.answers(first)[first]
    assert (got.status, got.complete, got.body) == (200, True, FIRST_EVENTS + DELTA + LAST_EVENTS)
    several = [h2_client.send("api.anthropic.com", "/v1/messages", json.dumps(ASK).encode()) for _ in range(3)]
    for answer in h2_client.answers(*several).values():
        assert (answer.status, answer.complete, answer.json()) == (200, True, MESSAGE)
        assert answer.one("transfer-encoding") is None
    assert [asked.line for asked in upstream.requests] == ["POST /v1/messages HTTP/1.1"] * 4
    assert upstream.requests[0].all("x-api-key") == [KEY]
    assert all(asked.all("host") == [f"127.0.0.1:{upstream.port}"] for asked in upstream.requests)


def test_a_broken_stream_on_http2_is_reset_after_its_error_event(h2_client: H2Client, upstream: Upstream) -> None:
    """A truncated answer never looks complete: `event: error`, then RST_STREAM; the connection's other streams live."""
    for behaviour in (
        answering(SSE_HEAD + chunk(FIRST_EVENTS) + LAST_CHUNK),
        answering(SSE_HEAD + chunk(FIRST_EVENTS), then="reset"),
    ):
        upstream.say(behaviour)
        sid = h2_client.send("api.anthropic.com", "/v1/messages", json.dumps(ASK_STREAM).encode())
        got = h2_client.answers(sid)[sid]
        assert not got.complete
        assert b"event: error" in got.body
    sid = h2_client.send("api.anthropic.com", "/v1/messages", json.dumps(ASK).encode())
    assert h2_client.answers(sid)[sid].json() == MESSAGE


def test_an_upstream_failure_on_http2_is_a_native_502(h2_client: H2Client, upstream: Upstream) -> None:
    """And the connection goes on."""
    upstream.say(answering(b"", then="close"))
    sid = h2_client.send("api.anthropic.com", "/v1/messages", json.dumps(ASK).encode())
    got = h2_client.answers(sid)[sid]
    assert (got.status, got.complete) == (502, True)
    error_of(got)


# -- bodies
PLAIN = json.dumps(MESSAGE, indent=3, ensure_ascii=False).encode() + b"\n  "
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "br": brotli.compress,
    "deflate": zlib.compress,
    "identity": lambda data: data,
    "zstd": zstd.compress,
}


def encoded(coding: str, data: bytes) -> bytes:
    try:
        return ENCODINGS[coding](data)
    except ImportError:
        pytest.skip(f"no {coding} encoder is installed")


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("coding", ENCODINGS)
def test_an_answer_passes_byte_for_byte(gate: Gate, upstream: Upstream, coding: str, framing: str) -> None:
    """Compressed or not, however it is framed: the client gets the upstream's own bytes, the usage is read."""
    body = encoded(coding, PLAIN)
    fields = f"content-type: application/json\r\ncontent-encoding: {coding}\r\nX-Odd-Case: Kept\r\n".encode()
    pieces = b"".join(chunk(body[i : i + 7]) for i in range(0, len(body), 7))
    start_line = b"HTTP/1.1 200 OK\r\n" + fields
    upstream.say(
        {
            "length": answering(start_line + b"content-length: %d\r\n\r\n" % len(body) + body),
            "chunked": answering(start_line + b"transfer-encoding: chunked\r\n\r\n" + pieces + LAST_CHUNK),
            "close": answering(start_line + b"\r\n" + body, then="close"),
        }[framing]
    )
    before = settled(gate)
    got = exchange(gate.port, post("/v1/messages", ASK))
    assert (got.status, got.complete) == (200, True)
    assert got.body == body
    assert got.one("content-encoding") == coding
    assert ("X-Odd-Case", "Kept") in got.headers
    record = gate.audit_records(count=before + 1)[before]
    assert (record["outcome"], record["input_tokens"], record["output_tokens"]) == ("ok", 10, 5)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_compressed_stream_passes_byte_for_byte(gate: Gate, upstream: Upstream, coding: str) -> None:
    """SSE under a content coding, cut anywhere: the same bytes, and the usage is read."""
    body = encoded(coding, FIRST_EVENTS + DELTA * 20 + LAST_EVENTS)
    top = SSE_HEAD.removesuffix(b"\r\n") + f"content-encoding: {coding}\r\n\r\n".encode()
    upstream.say(answering(top + b"".join(chunk(body[i : i + 5]) for i in range(0, len(body), 5)) + LAST_CHUNK))
    before = settled(gate)
    got = exchange(gate.port, post("/v1/messages", ASK_STREAM))
    assert (got.body, got.complete) == (body, True)
    record = gate.audit_records(count=before + 1)[before]
    assert (record["outcome"], record["input_tokens"], record["output_tokens"]) == ("ok", 10, 5)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model" : "claude-sonnet-4-5",\n\t"max_tokens":1e1, "messages":[], "unknown":{"b":1,"a":2}}  \n',
        b'{"model":"claude-sonnet-4-5","a":"\\u00e9\\/","a":2,"n":1.00000000000000000001}',
        json.dumps({**ASK, "pad": "x" * 3_000_000}).encode(),
    ],
    ids=["spacing", "escapes and doubles", "3 MB"],
)
def test_a_request_passes_byte_for_byte(gate: Gate, upstream: Upstream, body: bytes) -> None:
    """With a length or in chunks: the upstream gets the client's own bytes, with a length."""
    pieces = [body[i : i + 100_000] for i in range(0, len(body), 100_000)]
    for raw in (post("/v1/messages", body), post_chunked("/v1/messages", pieces)):
        assert exchange(gate.port, raw).status == 200
    assert [asked.body for asked in upstream.requests] == [body, body]
    assert [asked.all("content-length") for asked in upstream.requests] == [[str(len(body))]] * 2
    assert not any(asked.all("transfer-encoding") for asked in upstream.requests)


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(gate: Gate, upstream: Upstream, status: int) -> None:
    """204, 304 and answers to HEAD carry no body and no framing of a body; the connection goes on."""
    upstream.say(
        answering(f"HTTP/1.1 {status} X\r\n\r\n".encode()), answering(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n")
    )
    with Client(gate.port) as client:
        client.send(head("DELETE", "/v1/files/x"))
        assert client.head()[0] == status
        client.send(head("HEAD", "/v1/files/x"))
        got_status, headers = client.head()
        assert got_status == 200
        assert ("content-length", "99") in headers
        client.send(post("/v1/messages", ASK))
        assert client.answer().json() == MESSAGE


def test_an_http10_client_gets_no_chunks(gate: Gate, upstream: Upstream) -> None:
    """HTTP/1.0 knows no chunked coding: the body ends with the connection."""
    upstream.say(stream)
    raw = post("/v1/messages", ASK_STREAM).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    got = exchange(gate.port, raw)
    assert got.one("transfer-encoding") is None
    assert got.body == FIRST_EVENTS + DELTA + LAST_EVENTS


# -- own endpoints
OPEN = ("/health", "/ready")
ADMIN = ("/stats", "/debug", "/monitor")
LOCAL = {"host": "127.0.0.1"}
STRANGERS = {
    "a foreign origin": {"host": "localhost", "origin": "https://evil.example"},
    "the null origin": {"host": "localhost", "origin": "null"},
    "an origin that only begins like ours": {"host": "localhost", "origin": "http://localhost.evil.example"},
    "a foreign name (DNS rebinding)": {"host": "evil.example"},
    "a name that begins like ours": {"host": "127.0.0.1.evil.example"},
    "a forwarder": {"host": "localhost", "x-forwarded-for": "203.0.113.5"},
    "a forwarder of the standard": {"host": "localhost", "forwarded": "for=203.0.113.5"},
    "a via": {"host": "localhost", "via": "1.1 front"},
    "a real ip": {"host": "localhost", "x-real-ip": "203.0.113.5"},
}


def test_anyone_may_ask_for_health(gate: Gate, upstream: Upstream) -> None:
    """/health and /ready answer whoever asks, at both doors, and are no traffic."""
    before = settled(gate)
    for fields in ({}, *STRANGERS.values()):
        for page in OPEN:
            assert exchange(gate.port, head("GET", page, fields)).status == 200
    for page in OPEN:
        assert request("GET", f"http://sluicegate.local{page}", proxy=gate.proxy_url).status == 200
    assert gate.get("/health").json() == {"status": "ok"}
    assert upstream.received == b""
    assert settled(gate) == before


@pytest.mark.parametrize("page", ADMIN)
@pytest.mark.parametrize("who", STRANGERS)
def test_strangers_see_no_admin_page(gate: Gate, upstream: Upstream, page: str, who: str) -> None:
    """Without an admin token: loopback peers with a loopback Host and no foreign Origin, through no forwarder."""
    got = exchange(gate.port, head("GET", page, STRANGERS[who]))
    assert got.status == 403
    error_of(got)
    assert upstream.received == b""


@pytest.mark.parametrize("page", ["/stats", "/debug"])
def test_this_machine_sees_the_admin_pages(gate: Gate, page: str) -> None:
    """By any loopback name, from a page of its own too, and on the magic host of the regular door."""
    for fields in (
        LOCAL,
        {"host": f"localhost:{gate.port}"},
        {"host": "[::1]:80"},
        {"host": "localhost", "origin": f"http://localhost:{gate.port}"},
    ):
        got = exchange(gate.port, head("GET", page, fields))
        assert got.status == 200, (fields, got)
        got.json()
    assert request("GET", f"http://sluicegate.local{page}", proxy=gate.proxy_url).status == 200


def test_the_magic_host_has_tls_too(gate: Gate) -> None:
    """https://sluicegate.local through the regular door, with a certificate of the gate's CA."""
    got = through_tls(gate, "sluicegate.local", head("GET", "/health", {"host": "sluicegate.local"}))
    assert got.json() == {"status": "ok"}


@pytest.mark.parametrize("page", ["/metrics", "/dashboard", "/usage", "/stats"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_gates_own_names_never_go_upstream(gate: Gate, upstream: Upstream, page: str, method: str) -> None:
    """Built or not, with whatever method and query."""
    got = exchange(gate.port, head(method, f"{page}?x=1", {**LOCAL, "content-length": "0"}))
    if method == "POST" or page == "/dashboard":
        assert got.status >= 400
        error_of(got)
    assert upstream.received == b""


def test_the_monitor_tells_each_served_call(gate: Gate) -> None:
    """/monitor is an SSE stream: one event per call, with a sequence number that grows."""
    with Client(gate.port) as client:
        client.send(head("GET", "/monitor", LOCAL))
        status, headers = client.head()
        assert status == 200
        assert ("content-type", "text/event-stream") in [(k.lower(), v) for k, v in headers]
        seen = []
        for _ in range(2):
            exchange(gate.port, post("/v1/messages", ASK))
            text = client.until(b'"outcome":"ok"')
            client.until(b"\n\n")
            seen.append(int(text.rpartition(b"id: ")[2].partition(b"\n")[0]))
        assert seen[1] == seen[0] + 1


def test_an_admin_token_opens_the_pages_and_nothing_else_does(start: Start) -> None:
    """With a token: Bearer or x-sluicegate-admin, even from elsewhere; without it not even this machine."""
    token = "the-admin-token-of-this-test"
    config = PASS_THROUGH + "identity: {admin_token: 'env:ADMIN'}\n"
    gate = start(config=config, env={"ADMIN": token})
    for page in ("/stats", "/debug"):
        for fields in (
            {},
            {"authorization": "Bearer wrong"},
            {"x-sluicegate-admin": ""},
            {"x-sluicegate-admin": token[:-1]},
        ):
            assert exchange(gate.port, head("GET", page, {**LOCAL, **fields})).status == 403
        for fields in (
            {"authorization": f"Bearer {token}"},
            {"x-sluicegate-admin": token},
            {"x-sluicegate-admin": token, "x-forwarded-for": "203.0.113.5", "host": "gate.example"},
        ):
            got = exchange(gate.port, head("GET", page, {**LOCAL, **fields}))
            assert got.status == 200
            assert token.encode() not in got.body
    assert exchange(gate.port, head("GET", "/health")).status == 200
    assert token not in gate.output()


# -- binding
def test_a_door_that_is_open_to_the_network_drops_strangers(start: Start, upstream: Upstream) -> None:
    """mitmdump binds everything by default: what does not arrive on loopback is dropped before a byte is read."""
    address = own_address()
    gate = start(modes=("reverse:{upstream}@0.0.0.0:{port}",))
    for raw in (head("GET", "/health"), post("/v1/messages", ASK)):
        with Client(gate.port, address) as client:
            try:
                client.send(raw)
                assert client.ended()
            except ConnectionError:
                pass
    assert upstream.received == b""
    assert exchange(gate.port, post("/v1/messages", ASK)).status == 200


def test_an_admin_token_lets_no_strangers_in(start: Start, upstream: Upstream) -> None:
    """A token protects pages; it does not let the network spend our keys."""
    address = own_address()
    config = PASS_THROUGH + "identity: {admin_token: 'env:ADMIN'}\n"
    gate = start(modes=("reverse:{upstream}@0.0.0.0:{port}",), config=config, env={"ADMIN": "a-token-of-this-test"})
    with Client(gate.port, address) as client:
        try:
            client.send(post("/v1/messages", ASK, {"x-sluicegate-admin": "a-token-of-this-test"}))
            assert client.ended()
        except ConnectionError:
            pass
    assert upstream.received == b""


def test_run_listens_on_loopback_only(start: Start) -> None:
    """`sluicegate run` binds 127.0.0.1 unless told otherwise."""
    address = own_address()
    gate = start(program="sluicegate", regular=True)
    for port in (gate.port, gate.proxy_port):
        with pytest.raises(OSError, match="refused"):
            Client(port, address)


# -- mitmproxy's own configuration
class FromConfdir(Process):
    """`mitmdump --set confdir=FOLDER`, everything else in the folder's config.yaml."""

    def __init__(self, workdir: Path, upstream: str) -> None:
        super().__init__("from-confdir", workdir)
        self.upstream, self.port = upstream, 0
        self.confdir = workdir / "config"
        self.confdir.mkdir()
        (self.confdir / "sluicegate.yaml").write_text(PASS_THROUGH)

    def command(self) -> list[str]:
        self.port = free_port()
        script = os.path.relpath(GATE_SCRIPT, self.confdir)
        (self.confdir / "config.yaml").write_text(
            f"scripts: [{script}]\nmode: ['reverse:{self.upstream}@127.0.0.1:{self.port}']\n"
            "sluicegate_config: sluicegate.yaml\n"
        )
        return [str(BIN / "mitmdump"), "--set", f"confdir={self.confdir}"]

    def environment(self) -> dict[str, str]:
        state = str(self.workdir / "state")
        return clean_env({"SLUICEGATE_STATE_DIR": state, "STATE": state, "UPSTREAM": self.upstream})

    def answers(self) -> bool:
        try:
            return request("GET", f"http://127.0.0.1:{self.port}/health", timeout_s=5).status == 200
        except OSError:
            return False


def test_a_confdir_with_everything_in_it(tmp_path: Path, upstream: Upstream) -> None:
    """scripts: and sluicegate_config: are found beside config.yaml; the same stages and seal."""
    with FromConfdir(tmp_path / "work", upstream.url) as running:
        assert exchange(running.port, post("/v1/messages", ASK, {"x-api-key": KEY})).json() == MESSAGE
        debug = request("GET", f"http://127.0.0.1:{running.port}/debug").json()
        assert debug["config_file"].endswith("/config/sluicegate.yaml")
        assert debug["stages"][0] == "audit"
        log = running.workdir / "state" / "audit.jsonl"
        wait_until(lambda: log.exists() and b'"outcome":"ok"' in log.read_bytes(), "the record")
    assert len(upstream.requests) == 1
