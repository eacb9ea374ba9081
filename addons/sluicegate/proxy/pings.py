"""Pings: sent to a streaming client while its answer is silent, so that it does not take the connection for dead.

The first one may come before there is any answer: it commits the client to `200 text/event-stream`, and a final failure
then becomes `event: error`. While the upstream cannot be reached, no ping is sent: it would claim that all is well.
"""

from __future__ import annotations

import time

from mitmproxy import http
from mitmproxy.proxy import events, layer
from mitmproxy.proxy.layers.http import ResponseData, ResponseHeaders, SendHttp

from sluicegate.exchange import cors
from sluicegate.exchange.exchange import Exchange
from sluicegate.proxy.stream import EVENT_STREAM, GateStream
from sluicegate.proxy.timer import Timer

__all__ = ["Pings"]


class Pings:
    """The pings of one stream."""

    __slots__ = ("_stream", "_timer", "paused")

    def __init__(self, stream: GateStream) -> None:
        self._stream = stream
        self._timer: Timer | None = None
        self.paused = False
        """The last attempt did not get through to its upstream, and the present one has not yet."""

    def before_answer(self, x: Exchange) -> None:
        """A request is about to be sent: ping from now on, if its client understands that."""
        if x.ping_s and x.facts and x.facts.stream and x.format.ping:
            self._arm(x.ping_s)

    def during_answer(self, x: Exchange) -> None:
        """An answer has begun: ping if the ends of its events can be seen."""
        response = self._stream.flow.response
        if response is not None and x.ping_s and x.format.ping and _has_visible_events(response):
            self._arm(x.ping_s)

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def rang(self, event: events.Wakeup) -> bool:
        """Whether it is time for `ping`."""
        return self._timer is not None and event.command is self._timer.wake

    def ping(self) -> layer.CommandGenerator[None]:
        """Send one, unless the answer moves or the upstream cannot be reached; and arm the next."""
        self._timer = None
        stream, x = self._stream, self._stream.exchange
        if x is None or x.life.gone or x.life.closed or x.life.detached or _is_over(stream):
            return
        streaming = stream.server_state == stream.state_stream_response_body
        quiet_s = time.monotonic() - stream.last_sent
        if streaming and quiet_s < x.ping_s:
            self._arm(x.ping_s - quiet_s)
            return
        if streaming or not self.paused:
            if not stream.started:
                yield SendHttp(self._commit(x), stream.context.client)
            if (ping := x.format.ping) and (not streaming or stream.at_boundary):
                yield SendHttp(ResponseData(stream.stream_id, ping), stream.context.client)
        self._arm(x.ping_s)

    def _commit(self, x: Exchange) -> ResponseHeaders:
        stream = self._stream
        stream.started = stream.committed_to_stream = True
        headers = http.Headers(content_type=EVENT_STREAM, cache_control="no-cache")
        if stream.context.client.alpn != b"h2":
            headers["transfer-encoding"] = "chunked"
        headers["x-sluicegate-id"] = x.id
        response = http.Response(b"HTTP/1.1", 200, b"OK", headers, b"", None, time.time(), None)
        cors.add_cors_headers(x, response)
        return ResponseHeaders(stream.stream_id, response, False)

    def _arm(self, delay_s: float) -> None:
        self.stop()
        self._timer = Timer(self._stream, delay_s)


def _is_over(stream: GateStream) -> bool:
    errored = stream.state_errored
    return stream.server_state in (stream.state_done, errored) or stream.client_state == errored


def _has_visible_events(response: http.Response) -> bool:
    return (
        "event-stream" in response.headers.get("content-type", "")
        and "content-encoding" not in response.headers
        and "content-length" not in response.headers
    )
