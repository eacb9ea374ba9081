import contextlib
import socket
import threading

BODY = b'{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'
POST = b"POST /v1/messages HTTP/1.1\r\nhost: s\r\n%bcontent-length: %d\r\n\r\n%b"


def post(extra: bytes = b"", body: bytes = BODY) -> bytes:
    return POST % (extra, len(body), body)


def test_pipelined_calls_are_answered_in_order(sim, client) -> None:
    """A slow first answer holds back the second; both come on one connection."""
    slow = post(b"x-sim: text=first;first_byte_ms=20\r\n")
    fast = post(b"x-sim: text=second\r\nconnection: close\r\n")
    raw, ended = client.exchange(slow + fast)
    assert raw.count(b"HTTP/1.1 200 OK") == 2
    assert raw.index(b'"first"') < raw.index(b'"second"')
    assert ended == "eof"


def test_keep_alive_serves_call_after_call(sim, client) -> None:
    """Streams and JSON alternate on one connection."""
    stream = BODY.replace(b"{", b'{"stream":true,', 1)
    with client.connect() as sock:
        for body, end in ((BODY, b"}}"), (stream, b"0\r\n\r\n"), (BODY, b"}}")):
            sock.sendall(post(body=body))
            received = b""
            while not received.endswith(end):
                data = sock.recv(65536)
                assert data
                received += data
    assert [call.outcome for call in sim.calls] == ["complete"] * 3


def test_expect_continue_is_answered(client) -> None:
    """The go-ahead comes before the body is sent."""
    with client.connect() as sock:
        sock.sendall(POST % (b"expect: 100-continue\r\nconnection: close\r\n", len(BODY), b""))
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(BODY)
        assert sock.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_a_chunked_request_body_is_read(sim, client) -> None:
    """Chunks make the same body."""
    chunks = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (10, BODY[:10], len(BODY) - 10, BODY[10:])
    head = b"POST /v1/messages HTTP/1.1\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    assert client.exchange(head + chunks)[0].startswith(b"HTTP/1.1 200")
    assert sim.calls[0].body == BODY


def test_what_is_not_http_gets_a_400_and_the_end(sim, client) -> None:
    """As any server would."""
    raw, ended = client.exchange(b"\x16\x03\x01 hello\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 400 ")
    assert ended == "eof"
    assert sim.calls == []


def test_a_slow_reader_gets_all(sim, client) -> None:
    """Back-pressure stops the producing and goes on with it; nothing is lost."""
    stream = BODY.replace(b"{", b'{"stream":true,', 1)
    with client.connect() as sock:
        sock.sendall(post(b"x-sim: huge_mb=8\r\nconnection: close\r\n", stream))
        sim.wait(lambda sim: bool(sim.calls) and sim.calls[0].events > 10)
        assert sim.calls[0].outcome is None
        received = 0
        while data := sock.recv(1 << 16):
            received += len(data)
    assert received > 8 << 20
    sim.wait(lambda sim: sim.calls[0].outcome == "complete")


def test_other_clients_are_served_during_a_long_stream(sim, client) -> None:
    """A stream of very many events, read as fast as it comes, does not hold the loop."""
    stream = BODY.replace(b"{", b'{"stream":true,', 1)
    with client.connect() as sock:
        sock.sendall(post(b"x-sim: events=1000000\r\n", stream))
        reader = threading.Thread(target=read_all, args=(sock,))
        reader.start()
        sim.wait(lambda sim: bool(sim.calls) and sim.calls[0].events > 1000)
        assert client.ask().status == 200
        assert sim.calls[0].outcome is None
        sock.shutdown(socket.SHUT_RDWR)
        reader.join(30)
    sim.wait(lambda sim: sim.calls[0].outcome == "client_gone")


def read_all(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while sock.recv(1 << 20):
            pass
