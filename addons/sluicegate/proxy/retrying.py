"""RetryingStream: attempts inside mitmproxy's core, as a state machine.

    send_upstream ──no connection──────────────────────┐
      │                                                │
    state_wait_for_response_headers ───────────────────┤ reset, EOF, silence, a request that is not read, an unfit head
      │  a status to be retried                        │
      ├──► state_collect_failure ──────────────────────┤ the error's body, at most 64 KB and 3 s
      │  200 text/event-stream                         │
      ├──► state_first_event ──────────────────────────┤ `event: error`, an empty or a silent stream
      │  JSON that is translated                       │
      ├──► state_whole_answer ─────────────────────────┤ it makes no sense, or breaks off
      │                                                ▼
      │                                  _ask the Chain ──send again──► send_upstream (another stream id, maybe another
      │                                                └──give up──► the failure goes to the client           target)
      ▼
    _commit: from here on nothing is retried. What breaks now breaks visibly.
      └──► state_stream_response_body (GateStream)

Whatever it waits for: an attempt has a deadline (`_timer`), the client may leave (`GateStream.handle_event`), and the gate
may be told to stop (`_stop`).

While an answer is waited for, a client that asked for a stream gets a ping now and then (`_pinger`); the first one commits
it to `200 text/event-stream`, and a final failure then becomes `event: error`. No ping says that all is well while the
upstream can not be reached.

Each attempt has a stream id of its own towards the server: late events of an abandoned attempt are told by it and dropped.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any, Final

from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.net.http.validate import validate_headers
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

from sluicegate.core.routing.attempts import Cause
from sluicegate.exchange import cors
from sluicegate.exchange.call import Failure
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.translation import MAX_BUFFERED, BufferedResponse
from sluicegate.proxy import mitmproxy_internals as internals
from sluicegate.proxy.connections.pool import POOL_EXHAUSTED
from sluicegate.proxy.first_event import (
    MAX_HELD,
    Fails,
    FirstEvent,
    decoded,
    words_of,
)
from sluicegate.proxy.hooks import SluicegateFailedHook, SluicegateTurnHook
from sluicegate.proxy.stream import (
    EVENT_STREAM,
    GateStream,
    denied,
    readable,
)
from sluicegate.proxy.timer import Timer
from sluicegate.proxy.wire.http2_client import RequestNotProcessed

__all__ = ["RetryingStream"]

COLLECT_S: Final = 3.0
"""How long the body of an error is waited for."""

_FROM_UPSTREAM: Final = frozenset(
    {ResponseHeaders, ResponseData, ResponseTrailers, ResponseEndOfMessage, ResponseProtocolError, RequestNotProcessed}
)
_USED: Final = "sluicegate_used"
_UNREACHED: Final = frozenset({"connect", "write", "reset"})
"""Causes after which nobody knows whether the upstream lives."""
_UNDER_WAY: Final = frozenset({"status", "first_byte", "first_event", "write", "reset"})
"""What happens while the server still has the request: it is told that nobody waits any more."""


class RetryingStream(GateStream):
    _ids = itertools.count(1 << 40)

    pinged: bool = False
    """The client was committed to a stream by a ping; the provider's own headers are not sent any more."""
    ended: bool = False
    """The attempt's answer is complete."""
    _timer: Timer | None = None
    _pinger: Timer | None = None
    _stopper: Timer | None = None
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
    _first: FirstEvent | None = None
    _whole: BufferedResponse | None = None
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
        if (
            x is None
            or x.routing.attempts is None
            or x.ending.abort
            or x.ending.outcome
            or self.client_state != self.state_done
        ):
            return None
        return x

    def _request_complete(self) -> layer.CommandGenerator[None]:
        if x := self.exchange:
            x.life.on_interrupt = self._stop
        return super()._request_complete()

    # -- sending
    def send_upstream(self) -> layer.CommandGenerator[None]:
        x = self.attempting
        if x is None:
            yield from super().send_upstream()
            return
        if x.ping_s and x.facts and x.facts.stream and x.format.ping:
            self._arm_ping(x.ping_s)
        if x.routing.attempts and x.routing.attempts.delay_s:
            yield SluicegateTurnHook(self.flow)
            if (yield from self._ended_meanwhile(x)):
                return
        while True:
            release = x.routing.release
            if release is None or not release.covers(self.flow.request):
                why = "it was never released" if release is None else "it was changed after its release"
                yield from self.handle_protocol_error(denied(self, why))
                return
            why_not = yield from self.dial(release.target)
            if why_not is None:
                break
            if not (yield from self._ask("pool" if POOL_EXHAUSTED in why_not else "connect", why_not)):
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
        if x.life.interrupted:
            yield from self._give_up(x.life.interrupted)
            return True
        return False

    def _give_up(self, message: str) -> layer.CommandGenerator[None]:
        """No answer from upstream goes to the client: our own error does."""
        if x := self.exchange:
            x.routing.attempts = None
        self._forget_answer()
        self.server_state = self.state_wait_for_response_headers
        yield from self.handle_protocol_error(
            ResponseProtocolError(self.stream_id, message, ErrorCode.GENERIC_SERVER_ERROR)
        )

    # -- the answer's first bytes
    def state_wait_for_response_headers(self, event: ResponseHeaders) -> layer.CommandGenerator[None]:
        x = self.attempting
        if x is None or x.routing.attempts is None:
            yield from super().state_wait_for_response_headers(event)
            return
        response = event.response
        if why := self._unfit(x, response):
            yield from self._again("reset", why)
            return
        again = x.routing.attempts.retryable(x, response)
        self.flow.response = response
        if again or (self.pinged and response.status_code >= 300):
            self._final = not again
            self.server_state = self.state_collect_failure
            self._arm(COLLECT_S)
        elif x.routing.translation and (whole := x.routing.translation.buffered(response)):
            self._whole = whole
            self.server_state = self.state_whole_answer
        elif self._gates(x, response, ended=event.end_stream):
            self._first = FirstEvent(x, response)
            self.server_state = self.state_first_event
        else:
            x.routing.attempts.answered(response)
            yield from self._commit(event.end_stream)

    def _unfit(self, x: Exchange, response: http.Response) -> str | None:
        """Why an answer's head can not be passed on."""
        if response.status_code == 101 and not (x.routing.release and x.routing.release.upgrade):
            return "the upstream switched protocols unasked"
        try:
            if self.context.options.validate_inbound_headers:
                validate_headers(response)
        except ValueError:
            return "the head of the upstream's answer is malformed"
        return None

    def _gates(self, x: Exchange, response: http.Response, *, ended: bool) -> bool:
        """Whether its first event is looked at before it is passed on; a stream that has ended already is, in any case."""
        return (
            x.format.answers
            and response.status_code == 200
            and x.routing.attempts is not None
            and (ended or x.routing.attempts.left)
            and FirstEvent.can_read(x, response)
        )

    def state_collect_failure(self, event: events.Event) -> layer.CommandGenerator[None]:
        x, response = self.exchange, self.flow.response
        assert x
        assert response
        if isinstance(event, ResponseData):
            self.response_body_buf += event.data
            if len(self.response_body_buf) > MAX_HELD:  # no error looks like this
                yield from self._too_long(x, response)
        elif isinstance(event, ResponseEndOfMessage):
            self.ended = True
            if self._final:
                yield from self._commit(False)
            else:
                status = _status(x, response)
                yield from self._again("status", f"HTTP {status}", status)

    def _too_long(self, x: Exchange, response: http.Response) -> layer.CommandGenerator[None]:
        status = _status(x, response)
        if not self._final and x.routing.attempts and x.routing.attempts.elsewhere(x, status):
            yield from self._again("status", f"HTTP {status}, its body too long", status)
            return
        if not self._final and x.routing.attempts:
            x.routing.attempts.passes_on(response, status)
        yield from self._commit(False)

    def state_first_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        """A 200 is held back until its first event: overloads are reported as `event: error` after it."""
        assert self._first
        self.ended = isinstance(event, ResponseEndOfMessage)
        data = event.data if isinstance(event, ResponseData) else b""
        self.response_body_buf += data
        verdict = self._first.feed(data, ended=self.ended)
        if isinstance(verdict, Fails):
            yield from self._again("first_event", verdict.message, verdict.status)
        elif verdict or len(self.response_body_buf) > MAX_HELD:
            if (x := self.exchange) and x.routing.attempts and self.flow.response:
                x.routing.attempts.answered(self.flow.response)
            yield from self._commit(False)

    def state_whole_answer(self, event: events.Event) -> layer.CommandGenerator[None]:
        """What is translated as a whole comes to its end before its head goes out: until then it may be tried again."""
        if isinstance(event, ResponseData):
            self.response_body_buf += event.data
            if len(self.response_body_buf) > MAX_BUFFERED:
                yield from self._commit(False)
        elif isinstance(event, ResponseEndOfMessage):
            self.ended = True
            fault = self._whole.fault(bytes(self.response_body_buf)) if self._whole else None
            if fault is not None:  # nothing of it is fit for the client
                self._forget_answer()
                yield from self._again("first_event", fault, 502)
                return
            if (x := self.exchange) and x.routing.attempts and self.flow.response:
                x.routing.attempts.answered(self.flow.response)
            yield from self._commit(False)

    def _commit(self, end_stream: bool) -> layer.CommandGenerator[None]:
        """The answer in `flow.response` goes to the client, what was held back of it first."""
        self._disarm()
        if self.exchange:
            self.exchange.routing.attempts = None
        response = self.flow.response
        assert response
        held = bytes(self.response_body_buf)
        self.response_body_buf.clear()
        ended = self.ended
        if self.pinged and not self._goes_on_as_stream(response):
            self.flow.response = None
            yield from self.break_off(words_of(self.exchange, response, held), cancel=not ended)
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
        bridge = self.exchange.routing.translation if self.exchange else None
        return bridge.content_type(response) if bridge else response.headers.get("content-type", "")

    def start_response_stream(self) -> layer.CommandGenerator[None]:
        if self.pinged:
            if not (yield from self._aborted()):
                self.server_state = self.state_stream_response_body
        else:
            yield from super().start_response_stream()
        x = self.exchange
        if x and x.routing.call and not x.source:
            self._heard = self._told = time.monotonic()
            self._arm(max(0.0, min(x.timeouts.idle_s, self._deadline(x) - self._heard)))
            if x.ping_s and x.format.ping and self._may_ping():
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
                self._forget_answer()
                self.ended = True  # there is nothing left to cancel
                yield from self._again(self._cause_of(event), event.message)
                return
            event = ResponseProtocolError(self.stream_id, readable(event.message), event.code)
        else:
            event = RequestProtocolError(self.upstream_id, event.message, event.code)
        self._disarm()
        self._stop_pings()
        yield from super().handle_protocol_error(event)
        self.parent.streams.pop(self.upstream_id, None)
        self._over()

    def _cause_of(self, event: ResponseProtocolError) -> Cause:
        if isinstance(event, RequestNotProcessed):
            return "returned"
        return "stale" if self._reused and self.server_state == self.state_wait_for_response_headers else "reset"

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
            self.port.connection_rests(server)

    def _again(self, cause: Cause, message: str, status: int | None = None) -> layer.CommandGenerator[None]:
        """An attempt has failed: send again, if the Chain says so."""
        if (yield from self._ask(cause, message, status)):
            yield from self.send_upstream()

    def _forget_answer(self) -> None:
        self.flow.response = None
        self.response_body_buf.clear()

    def _ask(self, cause: Cause, message: str, status: int | None = None) -> layer.CommandGenerator[bool]:
        """An attempt has failed. True: send again. False: the exchange is over, and the client has been told."""
        self._disarm()
        x = self.exchange
        assert x
        server = self.context.server
        if not self.ended and cause in _UNDER_WAY and server in self.parent.connections:
            if cause == "write":
                _drop_unsent(self.context.client.id, server)
            yield SendHttp(RequestProtocolError(self.upstream_id, message, ErrorCode.CANCEL), server)
        self._new_attempt()
        self._unreached = cause in _UNREACHED
        response, held = self.flow.response, bytes(self.response_body_buf)
        headers = response.headers if response else None
        x.routing.failed = Failure(cause, readable(message), status, headers, decoded(headers, held))
        yield SluicegateFailedHook(self.flow)
        if (yield from self._ended_meanwhile(x)):
            return False
        if x.answer is not None:  # the next target needs nothing sent
            self._forget_answer()
            self.ended, self.flow.response = True, x.answer
            self.response_body_buf += x.answer.content or b""
            yield from self._commit(False)
            return False
        if x.routing.again:
            self._forget_answer()
            self.flow.error = None
            self.server_state = self.state_wait_for_response_headers
            return True
        yield from self._final_failure(x, cause, message)
        return False

    def _final_failure(self, x: Exchange, cause: Cause, message: str) -> layer.CommandGenerator[None]:
        """The client gets the last failure: the provider's own words where there are some."""
        x.routing.attempts = None
        x.ending.status = {"first_byte": 504, "pool": 503}.get(cause)
        if self.flow.response is not None and (cause == "status" or (cause == "first_event" and self.response_body_buf)):
            self.ended = self.ended or cause == "first_event"
            yield from self._commit(False)
            if self.server_state not in (self.state_done, self.state_errored):
                yield from self.break_off(message)  # what came is not all of it
            return
        self._forget_answer()
        self.server_state = self.state_wait_for_response_headers
        code = ErrorCode.CONNECT_FAILED if cause == "connect" else ErrorCode.GENERIC_SERVER_ERROR
        yield from self.handle_protocol_error(ResponseProtocolError(self.stream_id, message, code))

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
            status = _status(x, self.flow.response)
            if self._final:
                yield from self._commit(False)
            else:
                yield from self._again("status", f"HTTP {status}, its body too slow", status)
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
        self._forget_answer()
        what = "the request was not read" if cause == "write" else "no answer"
        yield from self._again(cause, f"{what} in time by {x.routing.target}")

    # -- being told to stop
    def _stop(self) -> None:
        if self.server_state not in (self.state_done, self.state_errored):
            self._stopper = Timer(self, 0)

    def _stopped(self) -> layer.CommandGenerator[None]:
        x = self.exchange
        if (
            x is None
            or x.life.closed
            or not x.life.interrupted
            or self.server_state in (self.state_done, self.state_errored)
        ):
            return
        server = self.context.server
        if self.started and not self.pinged:
            yield from self.break_off(x.life.interrupted, cancel=True)
            return
        if server in self.parent.connections and not self.ended:
            yield SendHttp(RequestProtocolError(self.upstream_id, x.life.interrupted, ErrorCode.CANCEL), server)
        yield from self._give_up(x.life.interrupted)

    def _arm(self, delay_s: float) -> None:
        self._disarm()
        self._timer = Timer(self, delay_s)

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
        self._pinger = Timer(self, delay_s)

    def _stop_pings(self) -> None:
        if self._pinger:
            self._pinger.cancel()
            self._pinger = None

    def _ping(self) -> layer.CommandGenerator[None]:
        self._pinger = None
        x = self.exchange
        over = (self.state_done, self.state_errored)
        if (
            x is None
            or x.life.gone
            or x.life.closed
            or x.life.detached
            or self.server_state in over
            or self.client_state in over[1:]
        ):
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
        if (ping := x.format.ping) and (not streaming or self._at_boundary):
            yield SendHttp(ResponseData(self.stream_id, ping), self.context.client)
        self._arm_ping(x.ping_s)


def _unsent(client_id: str, server: Any) -> int:
    """Bytes for a server that its socket has not taken yet."""
    transport = internals.transport_of(client_id, server)
    return int(transport.get_write_buffer_size()) if transport else 0


def _drop_unsent(client_id: str, server: Any) -> None:
    """An orderly close would send the rest of the request first, some time: it would be served, and billed, twice."""
    if server.alpn != b"h2":
        internals.abort(client_id, server)


def _status(x: Exchange, response: http.Response) -> int:
    """What an answer amounts to: some providers say an overload with a 200 or a 400."""
    return x.routing.translation.native_status(response) if x.routing.translation else response.status_code


def _nothing() -> layer.CommandGenerator[None]:
    yield from ()
