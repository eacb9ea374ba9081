"""Fetching a token: bounded, without redirects, and with errors that say nothing of what was sent."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from sluicegate.providers.auth.held_keys import CredentialError
from sluicegate.providers.fetch import (
    MAX_BYTES,
    fetch,
    fetch_json,
    trust,
)


class Office(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body, headers = {
            "/ok": (200, b'{"a": 1}', {}),
            "/list": (200, b"[]", {}),
            "/nonsense": (200, b"\xff", {}),
            "/large": (200, b'{"a":"' + b"x" * MAX_BYTES + b'"}', {}),
            "/moved": (302, b"", {"location": "/ok"}),
            "/half": (200, b"half", {"content-length": "9"}),
            "/no": (403, b'{"secret": 1}', {}),
        }[self.path]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"body": "%b", "key": "%b"}' % (body, self.headers["x-key"].encode()))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Office)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_object_comes_back(url: str) -> None:
    """GET without a form, POST with one."""
    assert fetch_json(f"{url}/ok", proxy=False) == {"a": 1}
    posted = fetch_json(f"{url}/ok", form={"x": "a b"}, headers={"x-key": "k"}, proxy=False)
    assert posted == {"body": "x=a+b", "key": "k"}


@pytest.mark.parametrize("path", ["/list", "/nonsense", "/large", "/moved", "/no"])
def test_everything_else_is_an_error_without_contents(url: str, path: str) -> None:
    """The host and what went wrong."""
    with pytest.raises(CredentialError) as caught:
        fetch_json(url + path, headers={"x-key": "hunter2"}, proxy=False)
    assert "127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("bad", ["http://127.0.0.1:1/x", "file:///etc/passwd", "ftp://h/x"])
def test_nobody_there(bad: str) -> None:
    """Neither are other schemes followed."""
    with pytest.raises(CredentialError):
        fetch_json(bad, proxy=False)


def test_ca_certificates_that_are_none(tmp_path: Path) -> None:
    """The error names the file, not what stands in it."""
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("hunter2")
    for file in (nonsense, tmp_path / "missing.pem"):
        trust(ca_file=str(file))
        try:
            with pytest.raises(CredentialError, match=str(file)) as caught:
                fetch_json("https://127.0.0.1:1/", proxy=False)
        finally:
            trust()
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: "])
def test_who_answers_drop_by_drop_is_left(head: bytes) -> None:
    """The time holds for the whole answer, head and body: each byte would start a socket's own timeout anew."""
    left = Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            peer, _ = listener.accept()
            with peer, contextlib.suppress(OSError):
                peer.sendall(head)
                for _ in range(600):
                    peer.sendall(b"x")
                    left.wait(0.05)

        dripping = Thread(target=drip, daemon=True)
        dripping.start()
        with pytest.raises(CredentialError, match="cannot be reached"):
            fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/", headers={}, via={}, timeout_s=0.3)
        assert dripping.is_alive()
        left.set()
        dripping.join()


def test_half_an_answer_is_none(url: str) -> None:
    """One that is shorter than it said."""
    with pytest.raises(CredentialError, match="cannot be reached"):
        fetch(f"{url}/half", headers={}, via={}, timeout_s=5)


def test_a_list_may_be_larger(url: str) -> None:
    """The bound is the caller's."""
    assert len(fetch(f"{url}/large", headers={}, via={}, timeout_s=30, most=2 * MAX_BYTES)) > MAX_BYTES
    with pytest.raises(CredentialError, match="more than"):
        fetch(f"{url}/large", headers={}, via={}, timeout_s=30)
