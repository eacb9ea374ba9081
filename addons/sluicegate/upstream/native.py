"""Errors of the proxy core in the client's own format: what stock mitmproxy says in HTML is said here as native JSON."""

from __future__ import annotations

from typing import Final

from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import (
    ErrorCode,
    Http1Server,
    HttpEvent,
    ReceiveHttp,
    RequestHeaders,
    RequestProtocolError,
    ResponseHeaders,
)
from mitmproxy.proxy.layers.http._http1 import make_body_reader

from sluicegate.core.messages import Surface
from sluicegate.core.sse import PING, error_event
from sluicegate.errors import error_body, error_type
from sluicegate.upstream.lean import read_request

__all__ = ["MAX_HEAD", "GateHttp1Server", "last_event", "native_response", "ping_of", "shown_status"]

MAX_HEAD: Final = 256 * 1024
"""Bytes of a request head that are buffered at most."""

_OTHER_WORDS: Final = frozenset({"chat_completions", "bedrock", "bedrock_count"})
"""Surfaces whose errors are not those of the Messages API. Their words are loaded when first needed."""
_FRAMES: Final = "application/vnd.amazon.eventstream"

UNREADABLE: Final = "the HTTP request can not be read: its request line, a header or its body length is malformed"


def native_response(
    status: int,
    message: str,
    *,
    surface: Surface = "messages",
    kind: str | None = None,
    exchange_id: str | None = None,
    fields: list[tuple[bytes, bytes]] | None = None,
    close: bool = False,
) -> http.Response:
    """Our own answer with an error body in the words of the client's surface."""
    headers = [(b"content-type", b"application/json"), *(fields or ())]
    if surface in _OTHER_WORDS:
        from sluicegate.core.dialects.own_words import error_answer

        said = error_answer(surface, status, kind or error_type(status), message, exchange_id)
        status, body = said.status, said.body
        headers += [(k.encode(), v.encode()) for k, v in said.fields.items() if k != "content-type"]
    else:
        body = error_body(status, message, kind=kind, request_id=exchange_id)
    headers.append((b"content-length", b"%d" % len(body)))
    if exchange_id:
        headers.append((b"x-sluicegate-id", exchange_id.encode()))
    if close:
        headers.append((b"connection", b"close"))
    return http.Response.make(status, body, http.Headers(headers))


def shown_status(surface: Surface, status: int) -> int:
    """The status by which an error of the gate's own reaches a client of this surface."""
    return native_response(status, "", surface=surface).status_code if surface in _OTHER_WORDS else status


def last_event(surface: Surface, content_type: str, message: str) -> bytes:
    """What ends a stream that will not be whole; b"" where the answer is none that such words can be put into."""
    if surface == "bedrock":
        from sluicegate.core.dialects.own_words import error_in_stream

        return error_in_stream(surface, error_type(502), message) if content_type.startswith(_FRAMES) else b""
    if "event-stream" not in content_type:
        return b""
    if surface == "chat_completions":
        from sluicegate.core.dialects.own_words import error_in_stream

        return b"\n\n" + error_in_stream(surface, error_type(502), message)
    return b"\n\n" + error_event(error_type(502), message)


def ping_of(surface: Surface) -> bytes | None:
    """What keeps a silent stream alive; None where the client's format has no such thing."""
    if surface in ("messages", "vertex"):
        return PING
    return b": ping\n\n" if surface == "chat_completions" else None


class GateHttp1Server(Http1Server):
    """Stock parsing; a head that can not be read gets a native 400, one that never ends a native 431.

    Stock logs a head that was cut off, with the credential in it; here it is forgotten first.
    """

    _holds = False
    _head = b""

    def hold_head(self) -> None:
        """The head of the answer that comes now goes out together with the first of its body: it is there already."""
        self._holds = True

    def send(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        stock: layer.CommandGenerator[None] = super().send(event)
        return self._joined(event, stock) if self._holds else stock

    def _joined(self, event: HttpEvent, sent: layer.CommandGenerator[None]) -> layer.CommandGenerator[None]:
        if type(event) is ResponseHeaders:
            for command in sent:
                if type(command) is commands.SendData:
                    self._head += command.data
                else:
                    yield command
            return
        head, self._head, self._holds = self._head, b"", False
        for command in sent:
            if head and type(command) is commands.SendData:
                command = commands.SendData(self.conn, head + command.data)
            elif head:
                yield commands.SendData(self.conn, head)
            head = b""
            yield command
        if head:
            yield commands.SendData(self.conn, head)

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        if isinstance(event, events.ConnectionClosed):
            self.buf.maybe_extract_at_most(len(self.buf))
        elif len(self.buf) > MAX_HEAD and not self._head_is_complete():
            yield from self._refuse(431, f"the request's headers are larger than {MAX_HEAD} bytes")
            return
        elif isinstance(event, events.DataReceived):
            yield from self._read_request(event)
            return
        for command in super().read_headers(event):
            if type(command) is not commands.Log:  # it quotes the head that could not be read
                yield command

    def read_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        for command in super().read_body(event):
            unreadable = type(command) is commands.CloseConnection and isinstance(event, events.DataReceived)
            if unreadable and self.response is None:  # stock hangs up without a word
                response = native_response(400, UNREADABLE, close=True)
                yield commands.SendData(self.conn, http1.assemble_response(response))
            yield command

    def _read_request(self, event: events.DataReceived) -> layer.CommandGenerator[None]:
        lines = self.buf.maybe_extract_lines()
        if not lines:
            return
        try:
            self.request = request = read_request([bytes(line) for line in lines])
            size = http1.expected_http_body_size(request)
        except ValueError as e:
            yield from self._refuse(400, UNREADABLE)
            if self.request:  # what could be read is shown to whoever looks at flows
                yield ReceiveHttp(RequestHeaders(self.stream_id, self.request, end_stream=False))
                yield ReceiveHttp(RequestProtocolError(self.stream_id, str(e), ErrorCode.GENERIC_CLIENT_ERROR))
            return
        yield ReceiveHttp(RequestHeaders(self.stream_id, request, end_stream=size == 0))
        self.body_reader = make_body_reader(size)
        self.state = self.read_body
        yield from self.state(event)

    def _head_is_complete(self) -> bool:
        return b"\r\n\r\n" in bytes(self.buf)[: MAX_HEAD + 4]

    def _refuse(self, status: int, message: str) -> layer.CommandGenerator[None]:
        response = native_response(status, message, close=True)
        yield commands.SendData(self.conn, http1.assemble_response(response))
        yield commands.CloseConnection(self.conn)
        self.state = self.done
