"""The HTTP layer under the seal: every event towards a server passes `GateLayer.event_to_child`, streamed bodies too.

Hooks alone fail open: an exception in an addon, a removed script, an edit, a replay or an upgrade would let the raw request
go. Here the default is the reverse: a request that is not covered by a Release does not leave, whatever asked for it.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any, Final

from mitmproxy.connection import Connection, Server
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    GetHttpConnection,
    GetHttpConnectionCompleted,
    Http1Client,
    HttpEvent,
    HttpLayer,
    HTTPMode,
    HttpStream,
    RegisterHttpConnection,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    is_h3_alpn,
)

from sluicegate.exchange.exchange import exchange_of
from sluicegate.proxy import mitmproxy_internals as internals
from sluicegate.proxy.connections.pool import http_client, is_idle
from sluicegate.proxy.port import GatePort
from sluicegate.proxy.retrying import RetryingStream
from sluicegate.proxy.seal import seal
from sluicegate.proxy.stream import GateStream, denied
from sluicegate.proxy.wire.http1_client import GateHttp1Client
from sluicegate.proxy.wire.http1_server import GateHttp1Server
from sluicegate.proxy.wire.http2_client import GateHttp2Client

__all__ = ["GateLayer", "adopt"]

log = logging.getLogger(__name__)

Commands = Generator[commands.Command, Any, None]

_NEVER_UPSTREAM: Final = frozenset(
    {
        events.DataReceived,
        events.ConnectionClosed,
        events.Start,
        ResponseData,
        ResponseHeaders,
        ResponseEndOfMessage,
        RequestProtocolError,  # cancels; carries no bytes of a request
    }
)
"""Exact types that never carry a request's bytes to a server. All others are checked."""


class GateLayer(HttpLayer):
    """Stock HttpLayer, whose streams are GateStreams and whose servers see released requests only."""

    port: GatePort

    def __init__(self, context: Context, mode: HTTPMode, port: GatePort) -> None:
        super().__init__(context, mode)
        self.port = port

    @classmethod
    def adopt(cls, stock: HttpLayer, port: GatePort) -> None:
        """Put a stock layer that has handled no event yet under the seal, in place."""
        stock.__class__ = cls
        assert isinstance(stock, cls)
        stock.port = port

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if type(event) is events.Start:
            alpn = self.context.client.alpn
            if alpn != b"h2" and not is_h3_alpn(alpn) and self.context.client not in self.connections:
                self.connections[self.context.client] = GateHttp1Server(self.context.fork())
        stock: layer.CommandGenerator[None] = super()._handle_event(event)
        return stock

    def make_stream(self, stream_id: int) -> layer.CommandGenerator[None]:
        self.streams[stream_id] = RetryingStream(internals.fork(self.context), stream_id, self, self.port)
        return self.event_to_child(self.streams[stream_id], events.Start())

    def register_connection(self, command: RegisterHttpConnection) -> layer.CommandGenerator[None]:
        match http_client(self.connections.get(command.connection)):
            case Http1Client() as client if type(client) is Http1Client:
                GateHttp1Client.adopt(client, self._at_rest)
            case internals.Http2Client() as client if type(client) is internals.Http2Client:
                GateHttp2Client.adopt(client, self._at_rest)
        yield from super().register_connection(command)

    def get_connection(self, event: GetHttpConnection, *, reuse: bool = True) -> layer.CommandGenerator[None]:
        """Stock opens a new connection for each HTTP/2 stream towards an HTTP/1 server, even if one is idle; and it chooses
        one whose server accepts no more requests."""
        if reuse and self.context.client.alpn == b"h2":
            for server in self.connections:
                if event.connection_spec_matches(server) and is_idle(server, self):
                    yield from self._take(server, event)
                    return
        if reuse and any(event.connection_spec_matches(s) and self._is_leaving(s) for s in self.connections):
            yield from self._another_connection(event)
            return
        yield from super().get_connection(event, reuse=reuse)

    def _take(self, server: Connection, event: GetHttpConnection) -> layer.CommandGenerator[None]:
        stream = self.command_sources.pop(event)
        yield from self.event_to_child(stream, GetHttpConnectionCompleted(event, (server, None)))

    def _another_connection(self, event: GetHttpConnection) -> layer.CommandGenerator[None]:
        for server in self.connections:
            if event.connection_spec_matches(server) and not self._is_leaving(server):
                if server in self.waiting_for_establishment:
                    self.waiting_for_establishment[server].append(event)
                    return
                if server.connected and server.alpn == b"h2":
                    yield from self._take(server, event)
                    return
        yield from super().get_connection(event, reuse=False)

    def _is_leaving(self, server: Connection) -> bool:
        client = http_client(self.connections[server])
        return isinstance(client, GateHttp2Client) and client.leaving

    def event_to_child(self, child: layer.Layer, event: events.Event) -> Commands:
        if type(event) in _NEVER_UPSTREAM or isinstance(child, HttpStream) or not isinstance(event, HttpEvent):
            return super().event_to_child(child, event)
        if isinstance(event, ResponseProtocolError):
            return self._error_to_client(child, event)
        return self._to_upstream(child, event)

    # -- towards servers
    def _to_upstream(self, child: layer.Layer, event: HttpEvent) -> Commands:
        stream = self.streams.get(event.stream_id)
        sealed = self._released(stream, child, event)
        if isinstance(sealed, HttpEvent):
            yield from super().event_to_child(child, sealed)
        elif stream is not None and isinstance(event, RequestHeaders):
            yield from super().event_to_child(stream, denied(stream, sealed))

    def _released(self, stream: HttpStream | None, child: layer.Layer, event: HttpEvent) -> HttpEvent | str:
        """The event as it may be sent, or the reason why not."""
        try:
            flow = getattr(stream, "flow", None)
            exchange = exchange_of(flow) if flow is not None else None
            release = exchange.routing.release if exchange else None
            if flow is None or release is None:
                return "it was never released"
            server = child.context.server
            if server.address is None or (server.tls, *server.address[:2]) != release.target.origin:
                return "it was released for another target"
            if release.upgrade and not isinstance(event, RequestHeaders):
                return event
            if not release.covers(flow.request):
                return "it was changed after its release"
            if isinstance(event, RequestHeaders):
                h1 = server.alpn != b"h2" and not is_h3_alpn(server.alpn)
                request = seal(flow.request, release, self.mode, h1_upstream=h1, proxy_auth=self._proxy_auth(server.via))
                return RequestHeaders(event.stream_id, request, event.end_stream)
            if isinstance(event, RequestData):
                return event if event.data == flow.request.data.content else "its body is not the released one"
            return event if isinstance(event, RequestEndOfMessage) else "trailers are not released"
        except BaseException as e:  # noqa: BLE001 - an exception here would hang the client; deny instead
            log.error("sealing failed: %s", type(e).__name__)  # not the text: it may quote a header
            return "it could not be sealed"

    def _proxy_auth(self, via: Any) -> bytes | None:
        """The credential for the upstream proxy, which reads plain HTTP itself; elsewhere the CONNECT carries it."""
        return self.port.via_auth(via[1]) if via else None

    def _at_rest(self, server: Connection) -> None:
        if isinstance(server, Server):
            self.port.connection_rests(server)

    # -- towards the client
    def _error_to_client(self, child: layer.Layer, event: ResponseProtocolError) -> Commands:
        """Stock answers with HTML, or cuts a stream off in silence: send the error in the client's own format first."""
        stream = self.streams.get(event.stream_id)
        words, error_follows = stream.last_words(event) if isinstance(stream, GateStream) else ([], True)
        for word in words:
            yield from super().event_to_child(child, word)
        if error_follows:
            yield from super().event_to_child(child, event)


def adopt(nextlayer: layer.NextLayer, port: GatePort) -> None:
    """For a `next_layer` hook: let mitmproxy decide, then put every HttpLayer of the choice under the seal."""
    if nextlayer.layer is None:
        internals.choose_next_layer(nextlayer)
    chosen: Any = nextlayer.layer
    while chosen is not None and not isinstance(chosen, layer.NextLayer):
        if type(chosen) is HttpLayer:
            GateLayer.adopt(chosen, port)
        chosen = getattr(chosen, "child_layer", None)
