"""HTTP/1.1 requests from bytes, and answer heads to bytes (RFC 9112); sans-io: feed bytes, take events."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from http import HTTPStatus

MAX_HEAD_BYTES = 256 * 1024
MAX_BODY_BYTES = 32 * 1024 * 1024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `headers` as they came, `fields` by lower-case name (the first of each)."""

    method: str
    target: str
    path: str
    query: str
    http_1_0: bool
    headers: list[tuple[str, str]]
    fields: dict[str, str]
    body: bytes = b""
    too_large: bool = False

    @property
    def keep_alive(self) -> bool:
        connection = self.fields.get("connection", "").lower()
        return "keep-alive" in connection if self.http_1_0 else "close" not in connection


@dataclass(frozen=True, slots=True)
class ContinueWanted:
    """The client waits for `100 Continue` before it sends the body (RFC 9110, 10.1.1)."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """Malformed or unsupported HTTP: answer with `status` and close."""

    status: int
    reason: str


type Event = Request | ContinueWanted | Malformed


class _State(enum.Enum):
    HEAD = "head"
    LENGTH = "length"  # a body by content-length
    CHUNK_SIZE = "chunk size"
    CHUNK = "chunk"  # data and the line end after it
    TRAILER = "trailer"
    DEAD = "dead"


class _Bad(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class RequestParser:
    """`feed(bytes)`, then `next_event()` until it gives None; any chunking gives the same events."""

    def __init__(self, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._buffer = bytearray()
        self._body = bytearray()
        self._state = _State.HEAD
        self._request: Request | None = None
        self._remaining = 0
        self._max_body_bytes = max_body_bytes
        self._too_large = False

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def take_rest(self) -> bytes:
        """The bytes not yet parsed: the data after an upgrade."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def next_event(self) -> Event | None:
        try:
            while True:
                event, progressed = self._step()
                if event is not None or not progressed:
                    return event
        except _Bad as bad:
            self._state = _State.DEAD
            return Malformed(bad.status, str(bad))

    def _step(self) -> tuple[Event | None, bool]:
        match self._state:
            case _State.HEAD:
                return self._head()
            case _State.LENGTH:
                return self._length()
            case _State.CHUNK_SIZE:
                return None, self._chunk_size()
            case _State.CHUNK:
                return None, self._chunk()
            case _State.TRAILER:
                return self._trailer()
            case _State.DEAD:
                return None, False

    def _head(self) -> tuple[Event | None, bool]:
        while self._buffer.startswith(b"\r\n"):  # RFC 9112, 2.2: ignore empty lines before a request
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise _Bad(431, "request head too large")
            return None, False
        head = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 4]
        request = _parse_head(head)
        self._body = bytearray()
        self._too_large = False
        coding = request.fields.get("transfer-encoding")
        length = request.fields.get("content-length")
        if coding is not None:
            if coding.lower() != "chunked":
                raise _Bad(501, f"transfer-encoding {coding!r} is not supported")
            self._state = _State.CHUNK_SIZE
        elif length is not None:
            if not (length.isascii() and length.isdigit()):
                raise _Bad(400, "content-length is not a number")
            self._remaining = int(length)
            self._too_large = self._remaining > self._max_body_bytes
            self._state = _State.LENGTH
        else:
            return request, True
        self._request = request
        if request.fields.get("expect", "").lower() == "100-continue" and not self._buffer:
            return ContinueWanted(), True
        return None, True

    def _store(self, size: int) -> None:
        """Move `size` bytes from the buffer to the body, or drop them if the body exceeds the limit."""
        self._remaining -= size
        if len(self._body) + size > self._max_body_bytes:
            self._too_large = True
        if self._too_large:
            self._body.clear()
        elif size == len(self._buffer) and not self._body:
            self._body, self._buffer = self._buffer, self._body
            return
        else:
            self._body += memoryview(self._buffer)[:size]
        del self._buffer[:size]

    def _length(self) -> tuple[Event | None, bool]:
        self._store(min(self._remaining, len(self._buffer)))
        return (None, False) if self._remaining else (self._complete(), True)

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise _Bad(400, "line too long in a chunked body")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _chunk_size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        try:
            self._remaining = int(line.partition(b";")[0], 16)
        except ValueError:
            raise _Bad(400, "chunk size is not a number") from None
        self._state = _State.CHUNK if self._remaining else _State.TRAILER
        return True

    def _chunk(self) -> bool:
        if self._remaining:
            if not self._buffer:
                return False
            self._store(min(self._remaining, len(self._buffer)))
            return True
        if len(self._buffer) < 2:
            return False
        if self._buffer[:2] != b"\r\n":
            raise _Bad(400, "chunk does not end where its size says")
        del self._buffer[:2]
        self._state = _State.CHUNK_SIZE
        return True

    def _trailer(self) -> tuple[Event | None, bool]:
        line = self._line()
        if line is None:
            return None, False
        return (None, True) if line else (self._complete(), True)

    def _complete(self) -> Request:
        request = self._request
        assert request is not None
        self._request = None
        self._state = _State.HEAD
        return Request(
            request.method,
            request.target,
            request.path,
            request.query,
            request.http_1_0,
            request.headers,
            request.fields,
            bytes(self._body),
            self._too_large,
        )


def _parse_head(head: str) -> Request:
    first, *lines = head.split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise _Bad(400, "not an HTTP/1.x request line")
    method, target, version = parts
    headers: list[tuple[str, str]] = []
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise _Bad(400, "malformed header line")
        value = value.strip(" \t")
        headers.append((name, value))
        fields.setdefault(name.lower(), value)
    path = target
    if not target.startswith("/") and "://" in target:  # absolute-form (RFC 9112, 3.2.2)
        path = "/" + target.partition("://")[2].partition("/")[2]
    path, _, query = path.partition("?")
    return Request(method, target, path, query, version == "HTTP/1.0", headers, fields)


_REASONS = {int(status): status.phrase for status in HTTPStatus} | {529: "Overloaded"}


def head(status: int, headers: list[tuple[str, str]]) -> bytes:
    """The status line and header block of an answer."""
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
