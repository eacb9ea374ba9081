"""HTTP/1 towards clients: stock parsing, with errors in the client's own format instead of HTML."""

from __future__ import annotations

from typing import Final

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

from sluicegate.exchange.native_errors import native_response
from sluicegate.proxy.mitmproxy_internals import make_body_reader
from sluicegate.proxy.wire.request_head import read_request

__all__ = ["MAX_HEAD", "UNREADABLE", "GateHttp1Server"]


MAX_HEAD: Final = 256 * 1024
"""Bytes of a request head that are buffered at most."""

UNREADABLE: Final = "malformed HTTP request: bad request line, header or content length"


class GateHttp1Server(Http1Server):
    """Stock parsing; a malformed head gets a native 400, one that never ends a native 431.

    Stock logs a head that was cut off, with the credential in it; here it is dropped first.
    """

    _holds = False
    _head = b""

    def hold_head(self) -> None:
        """Send the head of the next answer together with the first bytes of its body, which are there already."""
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
            if type(command) is not commands.Log:  # it quotes the malformed head
                yield command

    def read_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        for command in super().read_body(event):
            unreadable = type(command) is commands.CloseConnection and isinstance(event, events.DataReceived)
            if unreadable and self.response is None:  # stock closes the connection without an answer
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
            if self.request:  # the part that could be read is shown in the list of flows
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
