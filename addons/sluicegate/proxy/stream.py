"""GateStream: one request and its answer inside mitmproxy's core.

Stock HttpStream as a state machine, with these differences:

    request headers    the client's own Host is kept for the Chain
    request body       always collected (our limit, 413); never streamed past the stages
    after `request`    nothing is dialled without a Release; an answer may arrive over time (ByteSource)
    response body      a failed tap, or a stream that ended before its end, breaks visibly
    errors             end in the client's own format (`last_words`)
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence

from mitmproxy import flow as mflow
from mitmproxy.connection import Server
from mitmproxy.net.http.http1 import expected_http_body_size
from mitmproxy.proxy import events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    DropStream,
    ErrorCode,
    GetHttpConnection,
    HttpErrorHook,
    HttpEvent,
    HttpLayer,
    HttpRequestHook,
    HttpResponseHeadersHook,
    HttpStream,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    SendHttp,
)

from sluicegate.core.formats.messages.format import MESSAGES
from sluicegate.exchange import cors
from sluicegate.exchange.bodies import ByteSource
from sluicegate.exchange.exchange import Exchange, exchange_of
from sluicegate.exchange.native_errors import native_response
from sluicegate.exchange.release import Target
from sluicegate.proxy.error_texts import plain_os_errors, readable
from sluicegate.proxy.fast.inline_hooks import WITH_HOOKS, run_hooks_inline
from sluicegate.proxy.hooks import SluicegateEndHook, SluicegatePullHook
from sluicegate.proxy.mitmproxy_internals import CLIENT_HOST
from sluicegate.proxy.port import GatePort
from sluicegate.proxy.wire.http1_server import GateHttp1Server

log = logging.getLogger(__name__)

__all__ = ["EVENT_STREAM", "GateStream", "denied"]

EVENT_STREAM = "text/event-stream"
TOO_LARGE = "the request body is larger than the {limit:,} bytes that are allowed here (config key {key})"


class GateStream(HttpStream):
    started: bool = False
    """Response headers were sent to the client."""
    passed: bool = False
    """Some byte of the answer's body came."""
    committed_to_stream: bool = False
    """… by a ping, as an event stream: the provider's own headers are not sent any more."""
    last_heard: float = 0.0
    """When the upstream last sent some of the answer's body; monotonic seconds."""
    last_sent: float = 0.0
    """When the client was last sent some of it."""
    at_boundary: bool = True
    """What the client was sent last ended an event."""
    received: int = 0
    """Bytes of the answer's body, counted while a stage waits for its end."""
    detached: bool = False
    """The client has left; what would be sent to it is dropped."""
    upstream_id: int
    """The stream's id towards the server: its own, or one per attempt."""

    def __init__(self, context: Context, stream_id: int, parent: HttpLayer, port: GatePort) -> None:
        super().__init__(context, stream_id)
        self.upstream_id = stream_id
        self.parent = parent
        self.port = port

    @property
    def exchange(self) -> Exchange | None:
        flow = getattr(self, "flow", None)
        return exchange_of(flow) if flow is not None else None

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        # seen even while a hook is waited for: a stage that waits there learns that the client has left
        if type(event) is RequestProtocolError and (exchange := self.exchange):
            if self._goes_on(exchange):
                self.detached = exchange.life.detached = True
                return
            exchange.life.client_left()
        try:
            if self.detached:
                for command in super().handle_event(event):
                    if not (isinstance(command, SendHttp) and command.connection is self.context.client):
                        yield command
            else:
                yield from super().handle_event(event)
        except Exception as e:  # noqa: BLE001 - mitmproxy would log a crash and leave the client waiting
            yield from self._crashed(e)

    def _goes_on(self, exchange: Exchange) -> bool:
        """The client leaves: whether its call continues, because other exchanges listen to it."""
        shared = exchange.life.shared
        return shared is not None and shared.wanted and not exchange.life.closed and self.client_state == self.state_done

    def _crashed(self, e: Exception) -> layer.CommandGenerator[None]:
        """A bug of ours: nothing more goes upstream, and the client gets an error, or sees its stream break."""
        log.error("a stream failed: %s", type(e).__name__)  # not the text: it may quote a body
        self._stop_timers()
        if exchange := self.exchange:
            exchange.ending.internal()
            exchange.routing.release = exchange.routing.attempts = None
        client_errored = self.client_state == self.state_errored
        self.client_state = self.server_state = self.state_errored
        server = self.context.server
        if server in self.parent.connections:
            yield SendHttp(RequestProtocolError(self.upstream_id, "internal error", ErrorCode.CANCEL), server)
        if not client_errored:
            message = "internal error in the gate"
            yield SendHttp(
                ResponseProtocolError(self.stream_id, message, ErrorCode.GENERIC_SERVER_ERROR), self.context.client
            )
        if exchange:
            with contextlib.suppress(Exception):  # settled now: others may wait for its end
                self.port.stream_crashed(self.flow)
        yield DropStream(self.stream_id)

    def _stop_timers(self) -> None:
        """The answer is over; for subclasses that have timers."""

    def handle_connect_regular(self) -> layer.CommandGenerator[None]:
        """With an upstream proxy, tunnels that are not decrypted leave through it as well."""
        via = self.port.via
        if via is not None:
            self.context.server.via = via
        stock: layer.CommandGenerator[None] = (
            super().handle_connect_regular() if via is None else self.handle_connect_upstream()  # type: ignore[no-untyped-call]
        )
        return stock

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        work: layer.CommandGenerator[None] = super()._handle_event(event)
        if type(event) in WITH_HOOKS:
            return run_hooks_inline(work, self.parent.connections.get(self.context.client))
        return work

    # -- the request
    def state_wait_for_request_headers(self, event: RequestHeaders) -> layer.CommandGenerator[None]:
        setattr(event.request, CLIENT_HOST, event.request.host_header or "")
        stock: layer.CommandGenerator[None] = super().state_wait_for_request_headers(event)
        return stock

    def check_body_size(self, request: bool) -> layer.CommandGenerator[bool]:
        """Stock streams large bodies past the `request` hook; here a request is collected whole, or refused."""
        exchange = self.exchange
        if not request or exchange is None:  # no Exchange yet: its turn comes with the first bytes of the body
            return False
        limit, key = exchange.body_limit
        if exchange.answer is not None and exchange.answer.status_code >= 400:
            self.request_body_buf.clear()  # refused by its headers: the rest is read and dropped
        if max(len(self.request_body_buf), self._announced()) <= limit:
            return False
        message = TOO_LARGE.format(limit=limit, key=key)
        self.request_body_buf.clear()
        self.flow.error = mflow.Error(message)
        exchange.status = 413
        exchange.ending.refused()
        yield HttpErrorHook(self.flow)
        yield SendHttp(ResponseProtocolError(self.stream_id, message, ErrorCode.REQUEST_TOO_LARGE), self.context.client)
        # the rest of the body is read and dropped, so that the client gets to read our answer
        self.client_state = self.server_state = self.state_errored
        self.flow.live = False
        return True

    def _announced(self) -> int:
        try:
            return expected_http_body_size(self.flow.request) or 0
        except ValueError:
            return 0

    def state_consume_request_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        if type(event) is RequestEndOfMessage:
            return self._request_complete()
        stock: layer.CommandGenerator[None] = super().state_consume_request_body(event)
        return stock

    def _request_complete(self) -> layer.CommandGenerator[None]:
        """Run the stages, and act on their decision."""
        flow = self.flow
        flow.request.timestamp_end = time.time()
        flow.request.data.content = bytes(self.request_body_buf)
        self.request_body_buf.clear()
        self.client_state = self.state_done
        yield HttpRequestHook(flow)
        if (yield from self.check_killed(True)):
            return
        if flow.response:
            if flow.request.method.upper() == "HEAD":
                flow.response.data.content = b""  # RFC 9110, 9.3.2: a body would be read as the next answer
            flow.response.timestamp_start = time.time()
            yield HttpResponseHeadersHook(flow)
            if (yield from self.check_killed(True)):
                return
            if (exchange := self.exchange) and exchange.source:
                yield from self._stream_source(exchange, exchange.source)
            else:
                yield from self.send_response()
        else:
            yield from self.send_upstream()

    # -- sending
    def send_upstream(self) -> layer.CommandGenerator[None]:
        """Dial, and send the released request."""
        if (yield from self.make_server_connection()):
            yield from self.send_request()

    def send_request(self) -> layer.CommandGenerator[None]:
        request, server, sid = self.flow.request, self.context.server, self.upstream_id
        content = request.raw_content
        yield SendHttp(RequestHeaders(sid, request, not content), server)
        if content:
            yield SendHttp(RequestData(sid, content), server)
        yield SendHttp(RequestEndOfMessage(sid), server)

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        exchange = self.exchange
        release = exchange.routing.release if exchange else None
        if release is None or not release.covers(self.flow.request):
            why = "it was never released" if release is None else "it was changed after its release"
            yield from self.handle_protocol_error(denied(self, why))
            return False
        why_not = yield from self.dial(release.target)
        if why_not:
            yield from self.handle_protocol_error(ResponseProtocolError(self.stream_id, why_not, ErrorCode.CONNECT_FAILED))
            return False
        return True

    def dial(self, target: Target) -> layer.CommandGenerator[str | None]:
        """Get a connection to a target. Returns why there is none, or None."""
        self._forget_failed_connections()
        connection, err = yield GetHttpConnection((target.host, target.port), target.tls, target.via, "tcp")
        if err:
            return f"cannot connect to {target}: {plain_os_errors(err)}"
        self.context.server = self.flow.server_conn = connection
        self.port.connection_used(connection, self.parent)
        return None

    def _forget_failed_connections(self) -> None:
        """HttpLayer remembers a failed connect as long as the client stays: forget it, as it may work now."""
        parent = self.parent
        for connection in (*parent.connections, parent.context.server):
            if (
                isinstance(connection, Server)
                and connection.error
                and not connection.connected
                and connection not in parent.waiting_for_establishment
            ):
                connection.error = None

    # -- the answer
    def _stream_source(self, exchange: Exchange, source: ByteSource) -> layer.CommandGenerator[None]:
        client = self.parent.connections.get(self.context.client)
        if source.closed and not source.error and type(client) is GateHttp1Server:
            client.hold_head()
        yield from self.start_response_stream()
        while True:
            if not source.closed:  # a body that is complete need not be waited for
                yield SluicegatePullHook(self.flow)
            if exchange.life.gone:
                source.close("the client has gone")
            if (yield from self.check_killed(True)):
                return
            chunks, closed = source.take()
            if closed and not source.error:
                yield from self.before_end(exchange)
            for chunk in chunks:
                yield from self.state_stream_response_body(ResponseData(self.stream_id, chunk))
                if self.server_state == self.state_errored:
                    source.close("the stream was broken")
                    return
            if closed and source.error:
                return (yield from self.break_off(source.error))
            if closed:
                return (yield from self.state_stream_response_body(ResponseEndOfMessage(self.stream_id)))

    def start_response_stream(self) -> layer.CommandGenerator[None]:
        if (yield from self._aborted()):
            return
        response = self.flow.response
        assert response
        yield SendHttp(ResponseHeaders(self.stream_id, response, end_stream=False), self.context.client)
        self.started = True
        self.server_state = self.state_stream_response_body

    def send_response(self, already_streamed: bool = False) -> layer.CommandGenerator[None]:
        if not already_streamed and (yield from self._aborted()):
            return
        if exchange := self.exchange:
            yield from self.before_end(exchange)
        yield from super().send_response(already_streamed)

    def before_end(self, exchange: Exchange) -> layer.CommandGenerator[None]:
        """What must be done before the client can see the end of its answer: it may call again at once, at any gate."""
        life = exchange.life
        act, life.before_end = life.before_end, None
        if act is not None and (waiting := act()) is not None:
            life.ending = waiting
            yield SluicegateEndHook(self.flow)

    def _brings_end(self, exchange: Exchange, data: bytes) -> bool:
        """Whether the client can tell by these bytes, which the taps have seen, that no more of the answer follows."""
        response, call = self.flow.response, exchange.routing.call
        if call is not None and call.facts is not None and (call.facts.complete or call.facts.error_type):
            return True
        self.received += len(data)
        announced = response.headers.get("content-length", "") if response else ""
        return announced.isdecimal() and self.received >= int(announced)

    def _aborted(self) -> layer.CommandGenerator[bool]:
        """Whether the Chain has decided by the answer's headers that it is not passed on."""
        exchange = self.exchange
        if exchange is None or not exchange.ending.abort:
            return False
        yield from self.break_off(exchange.ending.abort, cancel=True)
        return True

    def state_stream_response_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        self.last_heard = time.monotonic()
        if type(event) is not ResponseData:
            self._stop_timers()
        exchange = self.exchange
        if exchange is None or not isinstance(event, (ResponseData, ResponseEndOfMessage)):
            yield from super().state_stream_response_body(event)
            return
        end = isinstance(event, ResponseEndOfMessage)
        self.passed = self.passed or not end
        chunks = self._tapped(exchange, b"" if isinstance(event, ResponseEndOfMessage) else event.data)
        if chunks:  # a translation yields whole events, and sometimes nothing for a while
            self.last_sent = self.last_heard
            self.at_boundary = chunks[-1].endswith((b"\n\n", b"\r\n\r\n"))
        if exchange.life.before_end and (isinstance(event, ResponseEndOfMessage) or self._brings_end(exchange, event.data)):
            yield from self.before_end(exchange)
        for chunk in chunks:
            yield SendHttp(ResponseData(self.stream_id, chunk), self.context.client)
        if exchange.taps.broken:
            where = exchange.taps.broken[0]
            exchange.ending.internal()
            yield from self.break_off(f"the answer was broken off by an internal error ({where})", cancel=not end)
        elif end and (reason := exchange.truncation_reason(empty=not self.passed)):
            exchange.ending.truncated()
            yield from self.break_off(reason)
        elif end:
            yield from self.send_response(already_streamed=True)

    def _tapped(self, exchange: Exchange, data: bytes) -> Sequence[bytes]:
        chunks = exchange.taps(data)
        other = self.flow.response.stream if self.flow.response else None
        if other is exchange.taps or not callable(other):
            return chunks
        out: list[bytes] = []  # another addon's callable, outside ours
        for chunk in chunks if data else (*chunks, b""):
            try:
                more = other(chunk)
                out.extend(c for c in ([more] if isinstance(more, bytes) else more) if c)
            except BaseException as e:  # noqa: BLE001 - an exception here would hang the client
                exchange.taps.broken = ("another addon", e)
                return ()
        return out

    def break_off(self, reason: str, *, cancel: bool = False) -> layer.CommandGenerator[None]:
        """The client has seen the start of an answer that will not be complete: end it visibly.

        `cancel`: the upstream is still sending.
        """
        server = self.context.server
        if cancel and server in self.parent.connections:
            yield SendHttp(RequestProtocolError(self.upstream_id, reason, ErrorCode.CANCEL), server)
        yield from self.handle_protocol_error(ResponseProtocolError(self.stream_id, reason, ErrorCode.GENERIC_SERVER_ERROR))

    def last_words(self, event: ResponseProtocolError) -> tuple[list[HttpEvent], bool]:
        """The events that the client gets before an error ends its stream, and whether the error itself must follow."""
        if not (self.context.client.connected and getattr(self, "flow", None)):
            return [], True
        exchange = self.exchange
        if self.started:
            return self._stream_error(event), True
        status = event.code.http_status_code()
        if status is None:
            return [], True
        whole = self.client_state == self.state_done
        response = native_response(
            exchange.ending.status_of(status) if exchange else status,
            f"sluicegate: {readable(event.message)}",
            format=exchange.format if exchange else MESSAGES,
            exchange_id=exchange.id if exchange else None,
            close=not whole,
        )
        if exchange:
            cors.add_cors_headers(exchange, response)
            if exchange.routing.failed_attempts:
                response.headers["x-sluicegate-attempts"] = str(exchange.routing.attempts_made)
        self.started = True
        sid = self.stream_id
        body = b"" if self.flow.request.method.upper() == "HEAD" else response.content or b""
        return [
            ResponseHeaders(sid, response, end_stream=False),
            ResponseData(sid, body),
            ResponseEndOfMessage(sid),
        ], False

    def _stream_error(self, event: ResponseProtocolError) -> list[HttpEvent]:
        response, exchange = self.flow.response, self.exchange
        if response is None and self.committed_to_stream:
            content_type = EVENT_STREAM
        elif response is None or self.server_state == self.state_done or "content-length" in response.headers:
            return []
        else:
            content_type = response.headers.get("content-type", "")
        format = exchange.format if exchange else MESSAGES
        words = format.last_event(content_type, f"sluicegate: {readable(event.message)}")
        return [ResponseData(self.stream_id, words)] if words else []


def denied(stream: HttpStream, reason: str) -> ResponseProtocolError:
    """The seal has denied the request: mark the exchange, and return the error that ends the stream."""
    flow = getattr(stream, "flow", None)
    if flow is not None and (exchange := exchange_of(flow)):
        exchange.ending.denied()
        exchange.routing.release = None  # now: the events that follow come before the error hook has run
    message = f"the request was stopped at the gate: {reason}. Nothing was sent upstream"
    return ResponseProtocolError(getattr(stream, "upstream_id", stream.stream_id), message, ErrorCode.CONNECT_FAILED)
