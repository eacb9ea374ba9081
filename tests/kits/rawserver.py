"""Both ends of a wire, byte by byte: an upstream that records all it gets, and a client that shows how an answer ended.

    with Upstream() as upstream:
        upstream.say(stream_then_cut)              # what it does with the next request; a plain message otherwise
        with Client(gate.port) as client:
            client.send(post("/v1/messages", b"{}"))
            answer = client.answer()               # .complete is False where the connection ended before the answer did
        assert upstream.received == b""            # the best witness: nothing was sent

Nothing here waits without a deadline.
"""

import contextlib
import datetime
import ipaddress
import json
import select
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kits.gatekit import Answer, Gate, wait_until

DEADLINE_S = 30.0
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "output_tokens": 5},
}
ASK = {"model": "claude-sonnet-4-5", "max_tokens": 16, "messages": [{"role": "user", "content": "Hi"}]}
ASK_STREAM = {**ASK, "stream": True}


# -- the server's end
@dataclass(slots=True)
class Asked:
    """One request as it came over the wire."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes
    head: bytes

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)


class Peer:
    """One connection that the upstream accepted."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = bytearray()
        self._buffer = bytearray()
        self.closed = threading.Event()

    def _more(self) -> bool:
        try:
            data = self.sock.recv(65536)
        except (OSError, ValueError):
            data = b""
        self.received += data
        self._buffer += data
        if not data:
            self.closed.set()
        return bool(data)

    def take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._more():
                break
        out = bytes(self._buffer[:size])
        del self._buffer[:size]
        return out

    def line(self) -> bytes:
        while b"\n" not in self._buffer:
            if not self._more():
                break
        return self.take(self._buffer.find(b"\n") + 1)

    def request(self) -> Asked | None:
        """The next request, or None at the end of the connection."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return None
        head = self.take(self._buffer.find(b"\r\n\r\n") + 4)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = [(k.strip(), v.strip()) for k, _, v in (entry.partition(":") for entry in lines if entry)]
        asked = Asked(first, headers, b"", head)
        if asked.one("transfer-encoding"):
            body = b""
            while size := int(self.line(), 16):
                body += self.take(size)
                self.take(2)
            self.take(2)
        else:
            body = self.take(int(asked.one("content-length") or 0))
        asked.body = body
        return asked

    def send(self, *parts: bytes) -> None:
        with contextlib.suppress(OSError):  # the gate may have left: the test looks at what it sees
            self.sock.sendall(b"".join(parts))

    def close(self) -> None:
        """A clean end (FIN) in both directions."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.closed.set()

    def reset(self) -> None:
        """A TCP RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        self.closed.set()

    def wait_closed(self, timeout_s: float = DEADLINE_S) -> bool:
        """Whether the other side closes within the time; what it sends meanwhile is recorded."""
        self.sock.settimeout(timeout_s)
        while not self.closed.is_set():
            try:
                data = self.sock.recv(65536)
            except TimeoutError:
                return False
            except OSError:
                data = b""
            self.received += data
            if not data:
                self.closed.set()
        return True


type Behaviour = Callable[[Peer, Asked], None]


class Upstream:
    """A server on a port of its own, a thread per connection. `raw` takes a whole connection instead of its requests."""

    def __init__(
        self, *, tls: ssl.SSLContext | None = None, raw: Callable[[Peer], None] | None = None, port: int = 0
    ) -> None:
        self._tls, self._raw, self._port = tls, raw, port
        self.peers: list[Peer] = []
        self.requests: list[Asked] = []
        self.problems: list[BaseException] = []
        self._next: deque[Behaviour] = deque()
        self._listener: socket.socket | None = None

    def __enter__(self) -> Self:
        self._listener = listener = socket.create_server(("127.0.0.1", self._port), backlog=64)
        self._port = listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """No more connections, and an end to those there are."""
        if self._listener:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for peer in self.peers:
            peer.close()

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    @property
    def received(self) -> bytes:
        """Every byte of every connection."""
        return b"".join(bytes(peer.received) for peer in self.peers)

    def say(self, *behaviours: Behaviour) -> None:
        """What it does with the next requests, one each."""
        self._next.extend(behaviours)

    def forget(self) -> None:
        """Start the record anew; the connections stay."""
        self.requests.clear()
        self._next.clear()
        for peer in self.peers:
            peer.received.clear()

    def wait_for(self, count: int) -> list[Asked]:
        """The requests, when there are `count` of them."""
        wait_until(lambda: len(self.requests) >= count, f"{count} requests upstream")
        return self.requests

    def wait_for_peers(self, count: int) -> list[Peer]:
        """The connections, when `count` of them were accepted: one that is closed at once may be accepted after that."""
        wait_until(lambda: len(self.peers) >= count, f"{count} connections upstream")
        return self.peers

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        peer = Peer(sock)
        self.peers.append(peer)
        try:
            if self._tls:
                peer.sock = self._tls.wrap_socket(sock, server_side=True)
            if self._raw:
                self._raw(peer)
            while not self._raw and (asked := peer.request()):
                behaviour = self._next.popleft() if self._next else message
                self.requests.append(asked)
                behaviour(peer, asked)
        except BaseException as e:
            if not isinstance(e, OSError):
                self.problems.append(e)
        finally:
            peer.closed.set()
            with contextlib.suppress(OSError):
                peer.sock.close()


def reply(status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """A whole answer with a content-length."""
    fields = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body


def message(peer: Peer, _: Asked) -> None:
    """The plain answer of the Messages API."""
    peer.send(reply(body=json.dumps(MESSAGE).encode()))


def answering(raw: bytes, *, then: str = "") -> Behaviour:
    """Answer with these bytes; `then` close or reset."""

    def behave(peer: Peer, _: Asked) -> None:
        peer.send(raw)
        if then == "reset":
            peer.reset()
        elif then == "close":
            peer.close()

    return behave


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(name: str, data: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FIRST_EVENTS = event("message_start", {"type": "message_start", "message": {**MESSAGE, "content": []}}) + event(
    "content_block_start", {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
)
DELTA = event(
    "content_block_delta", {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}
)
LAST_EVENTS = (
    event("content_block_stop", {"type": "content_block_stop", "index": 0})
    + event(
        "message_delta",
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    )
    + event("message_stop", {"type": "message_stop"})
)
LAST_CHUNK = b"0\r\n\r\n"


def stream(peer: Peer, _: Asked) -> None:
    """A whole SSE answer."""
    peer.send(SSE_HEAD, chunk(FIRST_EVENTS))
    peer.send(chunk(DELTA))
    peer.send(chunk(LAST_EVENTS), LAST_CHUNK)


@dataclass
class HeldStream:
    """An SSE answer that stops after its first events and goes on when the test says so."""

    release: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)
    """The gate closed the connection meanwhile."""

    def __call__(self, peer: Peer, _: Asked) -> None:
        peer.send(SSE_HEAD, chunk(FIRST_EVENTS))
        deadline = DEADLINE_S / 0.02
        while not self.release.wait(0.02) and deadline > 0:
            deadline -= 1
            if select.select([peer.sock], [], [], 0)[0] and not peer._more():
                self.left.set()
                return
        peer.send(chunk(DELTA), chunk(LAST_EVENTS), LAST_CHUNK)


# -- the client's end
@dataclass(frozen=True, slots=True)
class Got:
    """One answer as it came; `complete` says whether its framing was honoured to the end."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    complete: bool

    def one(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A connection to a door. Every read has a deadline and raises TimeoutError after it."""

    def __init__(
        self,
        port: int,
        host: str = "127.0.0.1",
        *,
        timeout_s: float = DEADLINE_S,
    ) -> None:
        self.sock: socket.socket = socket.create_connection((host, port), timeout=timeout_s)
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Leave with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def connect(self, authority: str, headers: Mapping[str, str] | None = None) -> Got:
        """CONNECT through a regular door."""
        fields = "".join(f"{k}: {v}\r\n" for k, v in {"host": authority, **(headers or {})}.items())
        self.send(f"CONNECT {authority} HTTP/1.1\r\n{fields}\r\n".encode())
        return self.answer(bodiless=True)

    def start_tls(self, name: str | None, ca: Path | None = None, alpn: Iterable[str] = ()) -> ssl.SSLSocket:
        """TLS from here on; without `ca` any certificate will do."""
        context = ssl.create_default_context(cafile=str(ca) if ca else None)
        if ca is None:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(list(alpn))
        tls = context.wrap_socket(self.sock, server_hostname=name)
        self.sock = tls
        return tls

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def _more(self) -> bool:
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            raise
        except OSError:
            data = b""
        self._buffer += data
        return bool(data)

    def rest(self) -> bytes:
        """Everything until the connection ends."""
        while self._more():
            pass
        out = bytes(self._buffer)
        self._buffer.clear()
        return out

    def until(self, mark: bytes) -> bytes:
        """The bytes up to and with `mark`; what there was, where the connection ended first."""
        while mark not in self._buffer:
            if not self._more():
                out = bytes(self._buffer)
                self._buffer.clear()
                return out
        end = self._buffer.find(mark) + len(mark)
        out = bytes(self._buffer[:end])
        del self._buffer[:end]
        return out

    def head(self) -> tuple[int, list[tuple[str, str]]]:
        head = self.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1."), f"no answer but {head[:200]!r}"
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = [(k, v.strip()) for k, _, v in (entry.partition(":") for entry in lines if entry)]
        return int(first.split(" ")[1]), headers

    def answer(self, *, bodiless: bool = False) -> Got:
        """One whole answer, or what came of it."""
        status, headers = self.head()
        while status == 100:
            status, headers = self.head()
        fields = {k.lower(): v for k, v in headers}
        if bodiless and status < 300:
            return Got(status, headers, b"", complete=True)
        if fields.get("transfer-encoding") == "chunked":
            return Got(status, headers, *self._chunks())
        length = fields.get("content-length")
        if length is None:
            return Got(status, headers, self.rest(), complete=True)
        while len(self._buffer) < int(length) and self._more():
            pass
        body = bytes(self._buffer[: int(length)])
        del self._buffer[: int(length)]
        return Got(status, headers, body, complete=len(body) == int(length))

    def _chunks(self) -> tuple[bytes, bool]:
        body = b""
        while True:
            line = self.until(b"\r\n")
            if not line.endswith(b"\r\n"):
                return body, False
            size = int(line, 16)
            while len(self._buffer) < size + 2:
                if not self._more():
                    return body + bytes(self._buffer[:size]), False
            body += bytes(self._buffer[:size])
            del self._buffer[: size + 2]
            if size == 0:
                return body, True

    def ended(self) -> bool:
        """Whether the other side closes, without another byte."""
        return self.rest() == b""


def head(method: str, target: str, headers: Mapping[str, str] | None = None) -> bytes:
    fields = {"host": "gate.test", **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode()


def post(target: str, body: object, headers: Mapping[str, str] | None = None) -> bytes:
    """A POST with a content-length; a body that is not bytes goes as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (
        head("POST", target, {"content-type": "application/json", "content-length": str(len(raw)), **(headers or {})}) + raw
    )


def post_chunked(target: str, pieces: Iterable[bytes], headers: Mapping[str, str] | None = None) -> bytes:
    fields = {"content-type": "application/json", "transfer-encoding": "chunked", **(headers or {})}
    return head("POST", target, fields) + b"".join(chunk(piece) for piece in pieces) + LAST_CHUNK


def exchange(port: int, raw: bytes, timeout_s: float = DEADLINE_S) -> Got:
    """One request on a connection of its own."""
    with Client(port, timeout_s=timeout_s) as client:
        client.send(raw)
        return client.answer()


def settled(gate: Gate) -> int:
    """How many records the gate has written, once nothing is under way."""
    wait_until(lambda: gate.get("/stats").json()["run"]["active"] == 0, "the end of all exchanges")
    return len(gate.audit_records())


def error_of(answer: Got | Answer) -> dict[str, str]:
    """The error of a native error body; fails where the body is anything else."""
    document = answer.json()
    assert document["type"] == "error", document
    error: dict[str, str] = document["error"]
    assert set(error) == {"type", "message"}, document
    assert error["type"], document
    assert error["message"], document
    return error


# -- certificates
def self_signed(folder: Path, *names: str) -> tuple[ssl.SSLContext, bytes]:
    """A server context with a certificate of its own making for these names, and that certificate (DER)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC)
    alternatives: list[x509.GeneralName] = []
    for entry in names:
        try:
            alternatives.append(x509.IPAddress(ipaddress.ip_address(entry)))
        except ValueError:
            alternatives.append(x509.DNSName(entry))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "own.pem"
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()) + pem
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, certificate.public_bytes(serialization.Encoding.DER)


# -- mitmweb
class Web:
    """mitmweb's own API, as its page uses it."""

    def __init__(self, port: int) -> None:
        self.port = port

    def call(self, method: str, path: str, body: object = None) -> Got:
        token = "0123456789abcdef0123456789abcdef"
        raw = b"" if body is None else json.dumps(body).encode()
        headers = {
            "host": f"127.0.0.1:{self.port}",
            "authorization": "Bearer test",
            "cookie": f"_mitmproxy_xsrf={token}",
            "x-xsrftoken": token,
            "content-type": "application/json",
            "content-length": str(len(raw)),
            "connection": "close",
        }
        got = exchange(self.port, head(method, path, headers) + raw)
        assert got.status < 400, (method, path, got)
        return got

    def flows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("GET", "/flows").json()
        return found

    def flow(self, where: Callable[[dict[str, Any]], object] = lambda _: True) -> dict[str, Any]:
        """The newest flow that fits, when there is one."""
        return wait_until(lambda: [f for f in self.flows() if where(f)][-1:], "a flow in mitmweb")[0]

    def set(self, **options: object) -> None:
        self.call("PUT", "/options", options)

    @contextlib.contextmanager
    def intercepting(self, pattern: str) -> Iterator[None]:
        self.set(intercept=pattern, intercept_active=True)
        try:
            yield
        finally:
            self.set(intercept="")
