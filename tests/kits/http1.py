"""HTTP/1 messages for tests of the proxy core, and a Chain that lacks a hook."""

from __future__ import annotations

from typing import Any

from sluicegate.gate.chain import Chain

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


class Without:
    """A chain that lacks one hook, as if it had raised there."""

    def __init__(self, chain: Chain, missing: str) -> None:
        self._chain, self._missing = chain, missing

    def __getattr__(self, name: str) -> Any:
        return None if name == self._missing else getattr(self._chain, name)
