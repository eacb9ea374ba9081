"""RetryingStream: attempts inside mitmproxy's core, as a state machine (attempt_states.py has its table).

    idle        ── send ──────────► sending
                ── give up ───────► given up
    sending     ── sent ──────────► waiting
                ── failure ───────► deciding
                ── give up ───────► given up
    waiting     ── error status ──► collecting
                ── beginning ─────► peeking
                ── whole answer ──► buffering
                ── answer ────────► committed
                ── failure ───────► deciding
                ── give up ───────► given up
    collecting  ── answer ────────► committed
                ── failure ───────► deciding
                ── give up ───────► given up
    peeking     ── answer ────────► committed
                ── failure ───────► deciding
                ── give up ───────► given up
    buffering   ── answer ────────► committed
                ── failure ───────► deciding
                ── give up ───────► given up
    deciding    ── retry ─────────► sending
                ── answer ────────► committed
                ── give up ───────► given up
    committed   ── give up ───────► given up

    waiting      for the head of an answer. A failure is: a reset, EOF, silence, a request that is not read, an unfit head
    collecting   the body of an error, at most 64 KB and 3 s; then it is a failure, or final
    peeking      at the beginning of an answer (core/formats/first_look.py): an error before any content, an empty answer,
                 a page in place of JSON, JSON in place of a stream, silence is a failure
    buffering    JSON that is translated: an answer that makes no sense, or breaks off, is a failure
    deciding     the Chain is asked: another attempt, an answer without one, or the failure goes to the client
    committed    from here on nothing is retried. What breaks now breaks visibly

Whatever it waits for: an attempt has deadlines (deadlines.py), the client may leave (`GateStream.handle_event`), and the
gate may stop (`_stop`). A client that asked for a stream gets pings meanwhile (pings.py).

Each attempt has a stream id of its own towards the server: late events of an abandoned attempt are recognised by it and
dropped.
"""

from __future__ import annotations

import itertools
import time
from typing import Any, Final

from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.proxy import events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    ErrorCode,
    HttpLayer,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
    SendHttp,
)

from sluicegate.core.formats.first_look import MAX_HELD, Fails, FirstLook, fault_of_status
from sluicegate.core.routing.attempts import UNDER_WAY, UNREACHED, Cause
from sluicegate.exchange.call import Failure
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.translation import MAX_BUFFERED, BufferedResponse
from sluicegate.proxy import mitmproxy_internals as internals
from sluicegate.proxy.answer_head import follows_pings, lacks_stream, native_status, unfit
from sluicegate.proxy.attempt_states import AttemptState, IllegalTransition
from sluicegate.proxy.connections.pool import POOL_EXHAUSTED
from sluicegate.proxy.deadlines import Deadlines, Overdue
from sluicegate.proxy.error_texts import readable
from sluicegate.proxy.first_event import decoded, first_look, words_of
from sluicegate.proxy.hooks import Answer, FailedAttempt, GiveUp, Retry, SluicegateFailedHook, SluicegateTurnHook
from sluicegate.proxy.pings import Pings
from sluicegate.proxy.port import GatePort
from sluicegate.proxy.stream import (
    GateStream,
    denied,
)
from sluicegate.proxy.timer import Timer
from sluicegate.proxy.wire.http2_client import RequestNotProcessed
from sluicegate.proxy.write_watch import WriteWatch

__all__ = ["RetryingStream"]

COLLECT_S: Final = 3.0
"""How long to wait for the body of an error."""

_FROM_UPSTREAM: Final = frozenset(
    {ResponseHeaders, ResponseData, ResponseTrailers, ResponseEndOfMessage, ResponseProtocolError, RequestNotProcessed}
)


class RetryingStream(GateStream):
    _ids = itertools.count(1 << 40)

    ended: bool = False
    """The attempt's answer is complete."""
    _stopper: Timer | None = None
    _reused: bool = False
    """The attempt's connection had carried a request before."""
    _first: FirstLook | None = None
    _buffered: BufferedResponse | None = None
    _final: bool = False
    """The answer that is collected goes to the client in any case."""
    _undecided: bool = False
    """The body that is collected decides whether it is a failure."""

    def __init__(self, context: Context, stream_id: int, parent: HttpLayer, port: GatePort) -> None:
        super().__init__(context, stream_id, parent, port)
        self._state = AttemptState()
        self._deadlines = Deadlines(self)
        self._pings = Pings(self)
        self._writes = WriteWatch()

    # -- events
    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if type(event) is events.Wakeup and self._pings.rang(event):
            return self._pings.ping()  # even while a hook is waited for: that is when pings are needed
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
        first = self._state.now == "idle"
        if first:
            self._state.enter("send")
        self._pings.before_answer(x)
        if first and x.routing.attempts and x.routing.attempts.delay_s:
            yield SluicegateTurnHook(self.flow)
            if (yield from self._ended_meanwhile(x)):
                return
        while True:
            release = x.routing.release
            if release is None or not release.covers(self.flow.request):
                why = "it was never released" if release is None else "it was changed after its release"
                self._state.enter("give up")
                yield from self.handle_protocol_error(denied(self, why))
                return
            why_not = yield from self.dial(release.target)
            if why_not is None:
                break
            if not (yield from self._ask("pool" if POOL_EXHAUSTED in why_not else "connect", why_not)):
                return
        yield from self._send(x)

    def _send(self, x: Exchange) -> layer.CommandGenerator[None]:
        self._pings.paused = False
        server = self.context.server
        self._reused = internals.mark_used(server)
        self.ended = False
        self._state.enter("sent")
        yield from self.send_request()
        if self._state.now == "waiting":  # else it has failed meanwhile
            self._deadlines.sent = time.monotonic()
            unread = self._writes.start(self.context.client.id, server)
            self._deadlines.arm(x.timeouts.write_s if unread else self._patience_s(x))

    def _ended_meanwhile(self, x: Exchange) -> layer.CommandGenerator[bool]:
        """After a wait: whether the exchange is over; the client has its answer then."""
        if (yield from self.check_killed(True)):
            self._pings.stop()
            return True
        if x.life.interrupted:
            yield from self._give_up(x.life.interrupted)
            return True
        return False

    def _give_up(self, message: str) -> layer.CommandGenerator[None]:
        """The client gets our own error instead of an answer from upstream."""
        if x := self.exchange:
            x.routing.attempts = None
        self._forget_answer()
        yield from self._fail(message, ErrorCode.GENERIC_SERVER_ERROR)

    def _fail(self, message: str, code: ErrorCode) -> layer.CommandGenerator[None]:
        self._state.enter("give up")
        self.server_state = self.state_wait_for_response_headers
        yield from self.handle_protocol_error(ResponseProtocolError(self.stream_id, message, code))

    # -- the answer's first bytes
    def state_wait_for_response_headers(self, event: ResponseHeaders) -> layer.CommandGenerator[None]:
        x = self.attempting
        if x is None or x.routing.attempts is None:
            yield from super().state_wait_for_response_headers(event)
            return
        response = event.response
        if why := unfit(x, response, validate=self.context.options.validate_inbound_headers):
            yield from self._again("reset", why)
            return
        verdict = x.routing.attempts.classify(x, response)
        x.routing.attempts.record(x, response, verdict)
        self._undecided, again = verdict == "look", verdict in ("look", "retry")
        self.flow.response = response
        if again or (self.committed_to_stream and response.status_code >= 300):
            self._final = not again
            self._state.enter("error status")
            self.server_state = self.state_collect_failure
            self._deadlines.arm(COLLECT_S)
        elif response.status_code < 400 and x.inference:
            yield from self._look_at(x, response, event.end_stream)
        else:
            x.routing.attempts.answered(response)
            yield from self._commit(event.end_stream)

    def _look_at(self, x: Exchange, response: http.Response, end_stream: bool) -> layer.CommandGenerator[None]:
        """An answer under a status of success is held back until it has shown that it is one."""
        translation, attempts = x.routing.translation, x.routing.attempts
        if fault := fault_of_status(response.status_code):
            yield from self._no_answer(x, fault)
        elif translation and not lacks_stream(x, response) and (buffered := translation.buffered(response)):
            self._buffered = buffered
            self._state.enter("whole answer")
            self.server_state = self.state_buffer_answer
        elif look := first_look(x, response, left=attempts is not None and attempts.left):
            self._first = look
            self._state.enter("beginning")
            self.server_state = self.state_first_event
        else:
            self._answered()
            yield from self._commit(end_stream)

    def _answered(self) -> None:
        if (x := self.exchange) and x.routing.attempts and self.flow.response:
            x.routing.attempts.answered(self.flow.response)

    def _no_answer(self, x: Exchange, fault: Fails) -> layer.CommandGenerator[None]:
        """A success that is no answer is a failed attempt. The client never gets it: at the end it is an error of ours."""
        attempts = x.routing.attempts
        if fault.is_answer or (attempts and attempts.may_fail(fault.status)):
            yield from self._again("first_event" if fault.is_answer else "no_answer", fault.message, fault.status)
            return
        x.ending.status = fault.status
        if not self.ended and self.context.server in self.parent.connections:
            yield SendHttp(RequestProtocolError(self.upstream_id, fault.message, ErrorCode.CANCEL), self.context.server)
        yield from self._give_up(fault.message)

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
            yield from self._collected()

    def _collected(self, note: str = "") -> layer.CommandGenerator[None]:
        """The body of an error is complete, or has taken too long."""
        x, response = self.exchange, self.flow.response
        assert x
        assert response
        attempts, body = x.routing.attempts, decoded(response.headers, bytes(self.response_body_buf))
        if self._undecided and not (attempts and attempts.fails(x, response, body)):
            self._answered()
            yield from self._commit(False)
            return
        if self._final:
            yield from self._commit(False)
            return
        status = native_status(x, response)
        yield from self._again("status", f"HTTP {status}, {note}" if note else f"HTTP {status}", status)

    def _too_long(self, x: Exchange, response: http.Response) -> layer.CommandGenerator[None]:
        status = native_status(x, response)
        if self._undecided:
            self._answered()
            yield from self._commit(False)
            return
        if not self._final and x.routing.attempts and x.routing.attempts.elsewhere(x, status):
            yield from self._again("status", f"HTTP {status}, its body too long", status)
            return
        if not self._final and x.routing.attempts:
            x.routing.attempts.passes_on(response, status)
        yield from self._commit(False)

    def state_first_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        """A 200 is held back until its first event with content: overloads are reported as `event: error` after it."""
        assert self._first
        self.ended = isinstance(event, ResponseEndOfMessage)
        data = event.data if isinstance(event, ResponseData) else b""
        self.response_body_buf += data
        verdict = self._first.feed(data, ended=self.ended)
        if isinstance(verdict, Fails):
            assert self.exchange
            yield from self._no_answer(self.exchange, verdict)
        elif verdict or len(self.response_body_buf) > MAX_HELD:
            self._answered()
            yield from self._commit(False)

    def state_buffer_answer(self, event: events.Event) -> layer.CommandGenerator[None]:
        """A translated answer is complete before its head goes out: until then it may be tried again."""
        if isinstance(event, ResponseData):
            self.response_body_buf += event.data
            if len(self.response_body_buf) > MAX_BUFFERED:
                yield from self._commit(False)
        elif isinstance(event, ResponseEndOfMessage):
            self.ended = True
            fault = self._buffered.fault(bytes(self.response_body_buf)) if self._buffered else None
            if fault is not None:  # none of it can be passed on
                self._forget_answer()
                yield from self._again("first_event", fault, 502)
                return
            self._answered()
            yield from self._commit(False)

    def _commit(self, end_stream: bool) -> layer.CommandGenerator[None]:
        """The answer in `flow.response` goes to the client, beginning with the bytes that were held back."""
        self._state.enter("answer")
        self._deadlines.disarm()
        if self.exchange:
            self.exchange.routing.attempts = None
        response = self.flow.response
        assert response
        held = bytes(self.response_body_buf)
        self.response_body_buf.clear()
        ended = self.ended
        if self.committed_to_stream and not follows_pings(self.exchange, response):
            self.flow.response = None
            yield from self.break_off(words_of(self.exchange, response, held), cancel=not ended)
            return
        self._pings.stop()
        yield from super().state_wait_for_response_headers(ResponseHeaders(self.upstream_id, response, end_stream))
        if self.server_state in (self.state_stream_response_body, self.state_consume_response_body):
            if held:
                yield from self.server_state(ResponseData(self.upstream_id, held))
            if ended and self.server_state != self.state_errored:
                yield from self.server_state(ResponseEndOfMessage(self.upstream_id))

    def start_response_stream(self) -> layer.CommandGenerator[None]:
        if self.committed_to_stream:
            if not (yield from self._aborted()):
                self.server_state = self.state_stream_response_body
        else:
            yield from super().start_response_stream()
        x = self.exchange
        if x and x.routing.call and not x.source and self.server_state == self.state_stream_response_body:
            self.last_heard = self.last_sent = time.monotonic()
            self._deadlines.arm(max(0.0, min(x.timeouts.idle_s, self._deadlines.left_s(x.timeouts, self.last_heard))))
            self._pings.during_answer(x)

    # -- failing
    def handle_protocol_error(self, event: RequestProtocolError | ResponseProtocolError) -> layer.CommandGenerator[None]:
        if isinstance(event, ResponseProtocolError):
            if self.attempting and self.server_state in self._early:
                self._forget_answer()
                self.ended = True  # nothing is left to cancel
                yield from self._again(self._cause_of(event), event.message)
                return
            event = ResponseProtocolError(self.stream_id, readable(event.message), event.code)
        else:
            event = RequestProtocolError(self.upstream_id, event.message, event.code)
        self._stop_timers()
        if isinstance(event, ResponseProtocolError) and (exchange := self.exchange):
            yield from self.before_end(exchange)
        yield from super().handle_protocol_error(event)
        self.parent.streams.pop(self.upstream_id, None)
        self._over()

    @property
    def _early(self) -> tuple[Any, ...]:
        """The states in which nothing of an answer has gone out, so that another attempt may follow."""
        return (
            self.state_wait_for_response_headers,
            self.state_collect_failure,
            self.state_first_event,
            self.state_buffer_answer,
        )

    def _cause_of(self, event: ResponseProtocolError) -> Cause:
        if isinstance(event, RequestNotProcessed):
            return "returned"
        return "stale" if self._reused and self.server_state == self.state_wait_for_response_headers else "reset"

    def flow_done(self) -> layer.CommandGenerator[None]:
        self._stop_timers()
        if self.upstream_id != self.stream_id and self.flow.response and self.flow.response.status_code != 101:
            self.parent.streams.pop(self.upstream_id, None)
        yield from super().flow_done()
        self._over()

    def _over(self) -> None:
        """The stream is over: its server connection is idle, and may be closed to make room."""
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
        """An attempt has failed. True: send again. False: the exchange is over, and the client has its answer."""
        self._state.enter("failure")
        self._deadlines.disarm()
        x = self.exchange
        assert x
        server = self.context.server
        if not self.ended and cause in UNDER_WAY and server in self.parent.connections:
            if cause == "write":
                self._writes.drop(self.context.client.id, server)
            yield SendHttp(RequestProtocolError(self.upstream_id, message, ErrorCode.CANCEL), server)
        self._new_attempt()
        self._pings.paused = cause in UNREACHED
        response, held = self.flow.response, bytes(self.response_body_buf)
        headers = response.headers if response else None
        attempt = FailedAttempt(self.flow, Failure(cause, readable(message), status, headers, decoded(headers, held)))
        yield SluicegateFailedHook(attempt)
        if (yield from self._ended_meanwhile(x)):
            return False
        match attempt.decision:
            case Retry(release):
                x.routing.release = release
                self._forget_answer()
                self.flow.error = None
                self._state.enter("retry")
                self.server_state = self.state_wait_for_response_headers
                return True
            case Answer(answer):
                self._forget_answer()
                self.ended, self.flow.response = True, answer
                self.response_body_buf += answer.content or b""
                yield from self._commit(False)
            case GiveUp():
                yield from self._final_failure(x, cause, message, status)
        return False

    def _final_failure(self, x: Exchange, cause: Cause, message: str, status: int | None) -> layer.CommandGenerator[None]:
        """The client gets the last failure: the provider's own answer if there is one."""
        x.routing.attempts = None
        x.ending.status = {"first_byte": 504, "pool": 503}.get(cause)
        if cause == "no_answer":
            x.ending.status = status
        if self.flow.response is not None and (cause == "status" or (cause == "first_event" and self.response_body_buf)):
            self.ended = self.ended or cause == "first_event"
            yield from self._commit(False)
            if self.server_state not in (self.state_done, self.state_errored):
                yield from self.break_off(message)  # it is not complete
            return
        self._forget_answer()
        code = ErrorCode.CONNECT_FAILED if cause == "connect" else ErrorCode.GENERIC_SERVER_ERROR
        yield from self._fail(message, code)

    def _new_attempt(self) -> None:
        """The next attempt gets a stream id of its own; late events for the old one are dropped."""
        if self.upstream_id != self.stream_id:
            self.parent.streams.pop(self.upstream_id, None)
        self.upstream_id = next(self._ids)
        self.parent.streams[self.upstream_id] = self

    # -- time
    def _woken(self, event: events.Wakeup) -> layer.CommandGenerator[None]:
        if self._deadlines.rang(event):
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
        elif x.life.closed or x.life.interrupted:
            return  # it ends by itself
        elif self._state.now == "collecting":
            yield from self._collected("its body too slow")
        elif self._state.now in ("waiting", "peeking", "buffering") and self.attempting:
            yield from self._answer_timed_out(x)
        else:
            raise IllegalTransition(f"a timer in state {self._state.now!r}")

    def _stream_timed_out(self, x: Exchange) -> layer.CommandGenerator[None]:
        verdict = self._deadlines.silence(x.timeouts, time.monotonic(), self.last_heard)
        if isinstance(verdict, Overdue):
            yield from self.break_off(verdict, cancel=True)
        else:
            self._deadlines.arm(verdict)

    def _answer_timed_out(self, x: Exchange) -> layer.CommandGenerator[None]:
        cause: Cause = "first_byte"
        if self._writes.unsent:
            if not self._writes.is_stuck(self.context.client.id, self.context.server):
                self._deadlines.arm(x.timeouts.write_s if self._writes.unsent else self._patience_s(x))
                return
            cause = "write"
        elif (left := self._patience_s(x)) > 0:
            self._deadlines.arm(left)
            return
        elif self._first and self._first.begun and self._state.now == "peeking":
            self._answered()  # it has begun in time; from here on its silences count
            yield from self._commit(False)
            return
        self._forget_answer()
        what = "the request was not read" if cause == "write" else "no answer"
        yield from self._again(cause, f"{what} in time by {x.routing.target}")

    def _patience_s(self, x: Exchange) -> float:
        return self._deadlines.patience_s(x.timeouts, time.monotonic(), streams=bool(x.facts and x.facts.stream))

    def _stop_timers(self) -> None:
        self._deadlines.disarm()
        self._pings.stop()

    # -- the gate stops
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
        if self.started and not self.committed_to_stream:
            yield from self.break_off(x.life.interrupted, cancel=True)
            return
        if server in self.parent.connections and not self.ended:
            yield SendHttp(RequestProtocolError(self.upstream_id, x.life.interrupted, ErrorCode.CANCEL), server)
        yield from self._give_up(x.life.interrupted)


def _nothing() -> layer.CommandGenerator[None]:
    yield from ()
