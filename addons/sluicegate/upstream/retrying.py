"""RetryingStream: attempts inside mitmproxy's core, as a state machine.

    dial ──error──────────────┐
      │                       │
    wait for response headers ┤ reset, EOF, first-byte timeout, a request that the upstream does not read
      │  status to be retried │
      ├──► collect failure ───┤ the error's body, at most 64 KB and 3 s
      │  200 text/event-stream│
      ├──► first event ───────┤ `event: error`, an empty or a silent stream
      ├──► whole answer ──────┤ JSON that is to be translated and makes no sense, or breaks off
      │                       ▼
      │                  ask the Chain ──send again──► dial (another stream id, maybe another target)
      │                       └──give up──► the failure goes to the client
      ▼
    commit: from here on nothing is retried. What breaks now breaks visibly.

Whatever it waits for: an attempt has a deadline, the client may leave, and the gate may be told to stop.

While an answer is waited for, a client that asked for a stream gets a ping now and then; the first one commits it to
`200 text/event-stream`, and a final failure then becomes `event: error`. No ping says that all is well while the upstream
can not be reached.

Each attempt has a stream id of its own towards the server: late events of an abandoned attempt are told by it and dropped.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence
from typing import Any, Final

from mitmproxy import ctx, http
from mitmproxy.connection import Server
from mitmproxy.proxy import events, layer
from mitmproxy.proxy.layers.http import (
    ErrorCode,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
    SendHttp,
)

from sluicegate.core.attempts import Cause
from sluicegate.core.encoding import DecodeError, Decoder, UnknownEncoding, decoder
from sluicegate.core.messages import ANSWERS
from sluicegate.core.sse import SSEParser
from sluicegate.exchange import Exchange, Failure
from sluicegate.inspect import cors
from sluicegate.stages.dialects import AS_IT_IS, MOST_WHOLE, Whole
from sluicegate.taps import Transform
from sluicegate.upstream.alarm import Alarm
from sluicegate.upstream.hooks import SluicegateFailedHook, SluicegateTurnHook
from sluicegate.upstream.native import ping_of
from sluicegate.upstream.pool import FULL
from sluicegate.upstream.stream import EVENT_STREAM, GateStream, denied, readable

__all__ = ["RetryingStream"]

MAX_HELD: Final = 64 * 1024
"""Bytes of an answer that are held back before it is passed on or thrown away."""
COLLECT_S: Final = 3.0

_FROM_UPSTREAM: Final = frozenset(
    {ResponseHeaders, ResponseData, ResponseTrailers, ResponseEndOfMessage, ResponseProtocolError}
)
_ERROR_STATUS: Final = {"overloaded_error": 529, "rate_limit_error": 429, "api_error": 500, "timeout_error": 504}
_USED: Final = "sluicegate_used"
_UNREACHED: Final = frozenset({"connect", "write", "reset"})
"""Causes after which nobody knows whether the upstream lives."""


class RetryingStream(GateStream):
    _ids = itertools.count(1 << 40)

    pinged: bool = False
    """The client was committed to a stream by a ping; the provider's own headers are not sent any more."""
    ended: bool = False
    """The attempt's answer is complete."""
    _timer: Alarm | None = None
    _pinger: Alarm | None = None
    _stopper: Alarm | None = None
    _sent: float = 0.0
    """When the request was handed over, in monotonic seconds."""
    _heard: float = 0.0
    _told: float = 0.0
    """When the client was last sent some of the answer."""
    _unsent: int = 0
    """Bytes of the request that the upstream has not read yet; 0 when they are not watched any more."""
    _unreached: bool = False
    """The last attempt did not get through to its upstream, and the present one has not yet."""
    _at_boundary: bool = True
    _reused: bool = False
    _first: tuple[Decoder, Transform, SSEParser] | None = None
    """What reads the first event, byte by byte if it must be."""
    _whole: Whole | None = None
    _final: bool = False
    """The answer that is collected goes to the client in any case."""

    # -- events
    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if type(event) is events.Wakeup and self._pinger and event.command is self._pinger.wake:
            return self._ping()  # even while a hook is waited for: that is when pings are needed
        return super().handle_event(event)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        kind = type(event)
        if kind in _FROM_UPSTREAM and event.stream_id != self.upstream_id:  # type: ignore[attr-defined]
            return _nothing()
        if isinstance(event, events.Wakeup):
            return self._woken(event)
        stock: layer.CommandGenerator[None] = super()._handle_event(event)
        return stock

    @property
    def attempting(self) -> Exchange | None:
        """The exchange, as long as its attempts may be repeated."""
        x = self.exchange
        if x is None or x.attempts is None or x.abort or x.outcome or self.client_state != self.state_done:
            return None
        return x

    def _request_complete(self) -> layer.CommandGenerator[None]:
        if x := self.exchange:
            x.stop_stream = self._stop
        return super()._request_complete()

    # -- sending
    def send_upstream(self) -> layer.CommandGenerator[None]:
        x = self.attempting
        if x is None:
            yield from super().send_upstream()
            return
        if x.ping_s and x.facts and x.facts.stream and ping_of(x.surface):
            self._arm_ping(x.ping_s)
        if x.attempts and x.attempts.delay_s:
            yield SluicegateTurnHook(self.flow)
            if (yield from self._ended_meanwhile(x)):
                return
        while True:
            release = x.release
            if release is None or not release.covers(self.flow.request):
                why = "it was never released" if release is None else "it was changed after its release"
                yield from self.handle_protocol_error(denied(self, why))
                return
            why_not = yield from self.dial(release.target)
            if why_not is None:
                break
            if not (yield from self._ask("pool" if FULL in why_not else "connect", why_not)):
                return
        self._unreached = False
        server = self.context.server
        self._reused = bool(getattr(server, _USED, False))
        setattr(server, _USED, True)
        self.ended = False
        yield from self.send_request()
        if self.server_state == self.state_wait_for_response_headers:
            self._sent = time.monotonic()
            self._unsent = _unsent(self.context.client.id, server)
            self._arm(x.timeouts.write_s if self._unsent else self._patience_s(x))

    def _patience_s(self, x: Exchange) -> float:
        """How much longer the beginning of an answer is waited for."""
        now = time.monotonic()
        left = self._deadline(x) - now
        if x.facts and x.facts.stream:
            left = min(left, self._sent + x.timeouts.first_byte_s - now)
        return max(left, 0.0)

    def _deadline(self, x: Exchange) -> float:
        """When the present attempt must be over, its answer included; monotonic seconds."""
        return self._sent + x.timeouts.total_s

    def _ended_meanwhile(self, x: Exchange) -> layer.CommandGenerator[bool]:
        """After a wait: whether there is nothing more to do. The client has been told then."""
        if (yield from self.check_killed(True)):
            self._stop_pings()
            return True
        if x.interrupted:
            yield from self._give_up(x.interrupted)
            return True
        return False

    def _give_up(self, message: str) -> layer.CommandGenerator[None]:
        """No answer from upstream goes to the client: our own error does."""
        if x := self.exchange:
            x.attempts = None
        self.flow.response = None
        self.response_body_buf.clear()
        self.server_state = self.state_wait_for_response_headers
        yield from self.handle_protocol_error(
            ResponseProtocolError(self.stream_id, message, ErrorCode.GENERIC_SERVER_ERROR)
        )

    # -- the answer's first bytes
    def state_wait_for_response_headers(self, event: ResponseHeaders) -> layer.CommandGenerator[None]:
        x = self.attempting
        if x is None or x.attempts is None:
            yield from super().state_wait_for_response_headers(event)
            return
        response = event.response
        again = x.attempts.retryable(x, response)
        if again or (self.pinged and response.status_code >= 300):
            self._final = not again
            self.flow.response = response
            self.server_state = self.state_collect_failure
            self._arm(COLLECT_S)
        elif x.bridge and (whole := x.bridge.whole(response)):
            self.flow.response = response
            self._whole = whole
            self.server_state = self.state_whole_answer
        elif self._gates(x, response, ended=event.end_stream):
            self.flow.response = response
            self._first = None
            self.server_state = self.state_first_event
        else:
            x.attempts.answered(response)
            self.flow.response = response
            yield from self._commit(event.end_stream)

    def _gates(self, x: Exchange, response: http.Response, *, ended: bool) -> bool:
        return (
            x.surface in ANSWERS
            and response.status_code == 200
            and (x.bridge.first_events(response) if x.bridge else AS_IT_IS) is not None
            and self._content_type(response).startswith("text/event-stream")
            and x.attempts is not None
            and (ended or x.attempts.left)
        )

    def state_collect_failure(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, ResponseData):
            self.response_body_buf += event.data
            if len(self.response_body_buf) > MAX_HELD:  # no error looks like this: it is the client's affair
                yield from self._commit(False)
        elif isinstance(event, ResponseEndOfMessage):
            self.ended = True
            assert self.flow.response
            x = self.exchange
            raw = self.flow.response
            status = x.bridge.native_status(raw) if x and x.bridge else raw.status_code
            if self._final:
                yield from self._commit(False)
                return
            if (yield from self._ask("status", f"HTTP {status}", status)):
                yield from self.send_upstream()

    def state_first_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        """A 200 is held back until its first event: overloads are reported as `event: error` after it."""
        self.ended = isinstance(event, ResponseEndOfMessage)
        data = event.data if isinstance(event, ResponseData) else b""
        self.response_body_buf += data
        verdict = self._look_at_first_event(data)
        if verdict is None and not self.ended and len(self.response_body_buf) <= MAX_HELD:
            return
        if verdict is None and self.ended and not self.response_body_buf:
            verdict = ("the stream ended before its first event", 500)
        if isinstance(verdict, tuple):
            message, status = verdict
            if (yield from self._ask("first_event", message, status)):
                yield from self.send_upstream()
            return
        if (x := self.exchange) and x.attempts and self.flow.response:
            x.attempts.answered(self.flow.response)
        yield from self._commit(False)

    def state_whole_answer(self, event: events.Event) -> layer.CommandGenerator[None]:
        """What is translated as a whole comes to its end before its head goes out: until then it may be tried again."""
        if isinstance(event, ResponseData):
            self.response_body_buf += event.data
            if len(self.response_body_buf) > MOST_WHOLE:
                yield from self._commit(False)
        elif isinstance(event, ResponseEndOfMessage):
            self.ended = True
            fault = self._whole.fault(bytes(self.response_body_buf)) if self._whole else None
            if fault is not None:
                self.flow.response = None  # nothing of it is fit for the client
                if (yield from self._ask("first_event", fault, 502)):
                    yield from self.send_upstream()
                return
            if (x := self.exchange) and x.attempts and self.flow.response:
                x.attempts.answered(self.flow.response)
            yield from self._commit(False)

    def _look_at_first_event(self, data: bytes) -> tuple[str, int] | bool | None:
        """A failure and what status it amounts to; True: a good beginning; None: not to be told yet."""
        response = self.flow.response
        assert response
        try:
            if self._first is None:
                bridge = self.exchange.bridge if self.exchange else None
                native = (bridge.first_events(response) if bridge else None) or AS_IT_IS
                coding_of = decoder(response.headers.get("content-encoding", ""), 16 * MAX_HELD)
                self._first = coding_of, native, SSEParser(16 * MAX_HELD)
            coding, native, parser = self._first
            found = parser.feed(native.feed(coding.feed(data)))
            if self.ended:
                found += parser.feed(native.end())
        except (UnknownEncoding, DecodeError):
            return True
        for event in found:
            if event.event == b"error":
                kind = _error_type(event.data)
                return (f"event: error ({kind})", _ERROR_STATUS[kind]) if kind in _ERROR_STATUS else True
            if event.event != b"ping":
                return True
        return None

    def _commit(self, end_stream: bool) -> layer.CommandGenerator[None]:
        """The answer in `flow.response` goes to the client, what was held back of it first."""
        self._disarm()
        if self.exchange:
            self.exchange.attempts = None
        response = self.flow.response
        assert response
        held = bytes(self.response_body_buf)
        self.response_body_buf.clear()
        ended = self.ended
        if self.pinged and not self._goes_on_as_stream(response):
            self.flow.response = None
            yield from self.break_off(_reason(self.exchange, response, held), cancel=not ended)
            return
        self._stop_pings()
        yield from super().state_wait_for_response_headers(ResponseHeaders(self.upstream_id, response, end_stream))
        if self.server_state in (self.state_stream_response_body, self.state_consume_response_body):
            if held:
                yield from self.server_state(ResponseData(self.upstream_id, held))
            if ended and self.server_state != self.state_errored:
                yield from self.server_state(ResponseEndOfMessage(self.upstream_id))

    def _goes_on_as_stream(self, response: http.Response) -> bool:
        """Whether an answer fits behind the pings that went out as the beginning of an event stream."""
        return response.status_code == 200 and "event-stream" in self._content_type(response)

    def _content_type(self, response: http.Response) -> str:
        """Of an answer, once it is one of the Messages API."""
        bridge = self.exchange.bridge if self.exchange else None
        return bridge.content_type(response) if bridge else response.headers.get("content-type", "")

    def start_response_stream(self) -> layer.CommandGenerator[None]:
        if self.pinged:
            if not (yield from self._aborted()):
                self.server_state = self.state_stream_response_body
        else:
            yield from super().start_response_stream()
        x = self.exchange
        if x and x.call and not x.source:
            self._heard = self._told = time.monotonic()
            self._arm(max(0.0, min(x.timeouts.idle_s, self._deadline(x) - self._heard)))
            if x.ping_s and ping_of(x.surface) and self._may_ping():
                self._arm_ping(x.ping_s)

    def state_stream_response_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        self._heard = time.monotonic()
        if type(event) is not ResponseData:
            self._disarm()
            self._stop_pings()
        return super().state_stream_response_body(event)

    def _tapped(self, exchange: Exchange, data: bytes) -> Sequence[bytes]:
        chunks = super()._tapped(exchange, data)
        if chunks:  # as the client gets it: translations give whole events, and sometimes nothing for a while
            self._told = self._heard
            self._at_boundary = chunks[-1].endswith((b"\n\n", b"\r\n\r\n"))
        return chunks

    # -- failing
    def handle_protocol_error(self, event: RequestProtocolError | ResponseProtocolError) -> layer.CommandGenerator[None]:
        if isinstance(event, ResponseProtocolError):
            early = (self.state_collect_failure, *self._before_the_answer)
            if self.attempting and self.server_state in early:
                stale = self._reused and self.server_state == self.state_wait_for_response_headers
                self.flow.response = None
                self.response_body_buf.clear()
                if (yield from self._ask("stale" if stale else "reset", event.message)):
                    yield from self.send_upstream()
                return
            event = ResponseProtocolError(self.stream_id, event.message, event.code)
        else:
            event = RequestProtocolError(self.upstream_id, event.message, event.code)
        self._disarm()
        self._stop_pings()
        yield from super().handle_protocol_error(event)
        self.parent.streams.pop(self.upstream_id, None)
        self._over()

    def flow_done(self) -> layer.CommandGenerator[None]:
        self._disarm()
        self._stop_pings()
        if self.upstream_id != self.stream_id and self.flow.response and self.flow.response.status_code != 101:
            self.parent.streams.pop(self.upstream_id, None)
        yield from super().flow_done()
        self._over()

    def _over(self) -> None:
        """Nothing more will happen here: the server connection may rest, or make room."""
        if self._stopper:
            self._stopper.cancel()
            self._stopper = None
        server = self.context.server
        if isinstance(server, Server) and server in self.parent.connections:
            ctx.master.addons.get("sluicegate").outbound.rests(server)

    def _ask(self, cause: Cause, message: str, status: int | None = None) -> layer.CommandGenerator[bool]:
        """An attempt has failed. True: send again. False: the exchange is over, and the client has been told."""
        self._disarm()
        x = self.exchange
        assert x
        server = self.context.server
        if not self.ended and cause in ("status", "first_byte", "first_event") and server in self.parent.connections:
            yield SendHttp(RequestProtocolError(self.upstream_id, message, ErrorCode.CANCEL), server)
        self._new_attempt()
        self._unreached = cause in _UNREACHED
        response, held = self.flow.response, bytes(self.response_body_buf)
        headers = response.headers if response else None
        x.failed = Failure(cause, readable(message), status, headers, _plain(headers, held))
        yield SluicegateFailedHook(self.flow)
        if (yield from self._ended_meanwhile(x)):
            return False
        if x.answer is not None:
            self.ended, self.flow.response = True, x.answer
            self.response_body_buf.clear()
            self.response_body_buf += x.answer.content or b""
            yield from self._commit(False)
            return False
        if x.again:
            self.flow.response = self.flow.error = None
            self.response_body_buf.clear()
            self.server_state = self.state_wait_for_response_headers
            return True
        x.attempts = None  # what happens from here on is final
        x.error_status = {"first_byte": 504, "pool": 503}.get(cause)
        if response is not None and (cause == "status" or (cause == "first_event" and held)):
            self.ended = True
            yield from self._commit(False)
        else:
            self.flow.response = None
            self.server_state = self.state_wait_for_response_headers
            code = ErrorCode.CONNECT_FAILED if cause == "connect" else ErrorCode.GENERIC_SERVER_ERROR
            yield from self.handle_protocol_error(ResponseProtocolError(self.stream_id, message, code))
        return False

    def _new_attempt(self) -> None:
        """The next attempt gets a stream id of its own; whatever still comes for the old one is dropped."""
        if self.upstream_id != self.stream_id:
            self.parent.streams.pop(self.upstream_id, None)
        self.upstream_id = next(self._ids)
        self.parent.streams[self.upstream_id] = self

    # -- time
    def _woken(self, event: events.Wakeup) -> layer.CommandGenerator[None]:
        if self._timer and event.command is self._timer.wake:
            self._timer = None
            return self._timed_out()
        if self._stopper and event.command is self._stopper.wake:
            self._stopper = None
            return self._stopped()
        return _nothing()

    def _timed_out(self) -> layer.CommandGenerator[None]:
        x = self.exchange
        if x is None:
            return
        if self.server_state == self.state_stream_response_body:
            yield from self._stream_timed_out(x)
        elif self.server_state == self.state_collect_failure:
            assert self.flow.response
            status = self.flow.response.status_code
            if (yield from self._ask("status", f"HTTP {status}, its body too slow", status)):
                yield from self.send_upstream()
        elif self.server_state in self._before_the_answer and self.attempting:
            yield from self._answer_timed_out(x)

    def _stream_timed_out(self, x: Exchange) -> layer.CommandGenerator[None]:
        now = time.monotonic()
        silent = now - self._heard
        if now >= self._deadline(x):
            why = f"not done within {x.timeouts.total_s:g} s (config key timeouts.total_s)"
            yield from self.break_off(why, cancel=True)
        elif silent < x.timeouts.idle_s:
            self._arm(min(x.timeouts.idle_s - silent, self._deadline(x) - now))
        else:
            yield from self.break_off(f"the upstream sent nothing for {x.timeouts.idle_s:g} s", cancel=True)

    @property
    def _before_the_answer(self) -> tuple[Any, ...]:
        """The states in which nothing of an answer has gone out, and a timeout may lead to another attempt."""
        return self.state_wait_for_response_headers, self.state_first_event, self.state_whole_answer

    def _answer_timed_out(self, x: Exchange) -> layer.CommandGenerator[None]:
        cause: Cause = "first_byte"
        if self._unsent:
            unsent = _unsent(self.context.client.id, self.context.server)
            if unsent < self._unsent:  # it reads, if slowly
                self._unsent = unsent
                self._arm(x.timeouts.write_s if unsent else self._patience_s(x))
                return
            cause = "write"
        elif (left := self._patience_s(x)) > 0:
            self._arm(left)
            return
        self.flow.response = None
        self.response_body_buf.clear()
        what = "the request was not read" if cause == "write" else "no answer"
        if (yield from self._ask(cause, f"{what} in time by {x.target}")):
            yield from self.send_upstream()

    # -- being told to stop
    def _stop(self) -> None:
        if self.server_state not in (self.state_done, self.state_errored):
            self._stopper = Alarm(self, 0)

    def _stopped(self) -> layer.CommandGenerator[None]:
        x = self.exchange
        if x is None or x.closed or not x.interrupted or self.server_state in (self.state_done, self.state_errored):
            return
        server = self.context.server
        if self.started and not self.pinged:
            yield from self.break_off(x.interrupted, cancel=True)
            return
        if server in self.parent.connections and not self.ended:
            yield SendHttp(RequestProtocolError(self.upstream_id, x.interrupted, ErrorCode.CANCEL), server)
        yield from self._give_up(x.interrupted)

    def _arm(self, delay_s: float) -> None:
        self._disarm()
        self._timer = Alarm(self, delay_s)

    def _disarm(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    # -- pings
    def _may_ping(self) -> bool:
        """A ping can be put between two events only where we know where events end."""
        response = self.flow.response
        return (
            response is not None
            and "event-stream" in response.headers.get("content-type", "")
            and "content-encoding" not in response.headers
            and "content-length" not in response.headers
        )

    def _arm_ping(self, delay_s: float) -> None:
        self._stop_pings()
        self._pinger = Alarm(self, delay_s)

    def _stop_pings(self) -> None:
        if self._pinger:
            self._pinger.cancel()
            self._pinger = None

    def _ping(self) -> layer.CommandGenerator[None]:
        self._pinger = None
        x = self.exchange
        over = (self.state_done, self.state_errored)
        if x is None or x.gone or x.closed or x.orphaned or self.server_state in over or self.client_state in over[1:]:
            return
        streaming = self.server_state == self.state_stream_response_body
        quiet = time.monotonic() - self._told
        if streaming and quiet < x.ping_s:
            self._arm_ping(x.ping_s - quiet)
            return
        if self._unreached and not streaming:
            self._arm_ping(x.ping_s)
            return
        if not self.started:
            self.started = self.pinged = self.committed_to_stream = True
            headers = http.Headers(content_type=EVENT_STREAM, cache_control="no-cache")
            if self.context.client.alpn != b"h2":
                headers["transfer-encoding"] = "chunked"
            headers["x-sluicegate-id"] = x.id
            response = http.Response(b"HTTP/1.1", 200, b"OK", headers, b"", None, time.time(), None)
            cors.dress(x, response)
            yield SendHttp(ResponseHeaders(self.stream_id, response, False), self.context.client)
        if (ping := ping_of(x.surface)) and (not streaming or self._at_boundary):
            yield SendHttp(ResponseData(self.stream_id, ping), self.context.client)
        self._arm_ping(x.ping_s)


def _unsent(client_id: str, server: Any) -> int:
    """Bytes for a server that its socket has not taken yet."""
    handler = ctx.master.addons.get("proxyserver").connections.get(client_id)
    io = handler.transports.get(server) if handler else None
    return int(io.writer.transport.get_write_buffer_size()) if io and io.writer else 0


def _plain(headers: http.Headers | None, body: bytes) -> bytes:
    """What came of a failed answer's body, its content encoding undone where that can be."""
    try:
        return decoder(headers.get("content-encoding", ""), 16 * MAX_HELD).feed(body) if headers and body else b""
    except (UnknownEncoding, DecodeError):
        return b""


def _nothing() -> layer.CommandGenerator[None]:
    yield from ()


def _error_type(data: bytes) -> str:
    try:
        return str(json.loads(data)["error"]["type"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "api_error"


def _reason(x: Exchange | None, response: http.Response, body: bytes) -> str:
    """The upstream's own words, for a client that was already committed to a stream."""
    body = _plain(response.headers, body)
    if x and x.bridge and (verdict := x.bridge.verdict(response, body)):
        return f"HTTP {verdict.status}: {verdict.message[:300]}"
    try:
        said = json.loads(body)["error"]["message"]
        return f"HTTP {response.status_code}: {str(said)[:300]}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"the upstream answered HTTP {response.status_code}"
