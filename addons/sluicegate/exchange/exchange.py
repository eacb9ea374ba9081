"""Exchange: one client request's typed state, from its headers to the end of its answer.

An Exchange hangs on its flow as an attribute, never in `flow.metadata`: attributes are dropped when a flow is copied or
saved, so nothing here (credentials above all) can end up in a file. At the end a plain-dict summary goes to
`flow.metadata["sluicegate"]`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from mitmproxy import http

from sluicegate.core.formats.facts import read_facts
from sluicegate.core.formats.surfaces import ANSWERS, INFERENCE, Surface
from sluicegate.core.identity.caller import Caller
from sluicegate.core.messages.facts import RequestFacts
from sluicegate.exchange.bodies import ByteSource, KeptBody
from sluicegate.exchange.call import Call, Failure, Shared
from sluicegate.exchange.ports import PolicyPort
from sluicegate.exchange.release import Fields, Origin, Release, Target
from sluicegate.exchange.taps import Taps
from sluicegate.exchange.translation import Translation
from sluicegate.settings.timeouts import Timeouts

if TYPE_CHECKING:  # loaded when first needed
    from sluicegate.core.pricing.prices import Prices

__all__ = ["AttemptsPort", "Door", "Exchange", "Outcome", "attach", "exchange_of", "new_id"]

Door = Literal["reverse", "regular", "upstream", "replay", "other"]

Outcome = Literal["ok", "upstream_error", "refused", "failed", "truncated", "client_abort", "denied", "internal"]
"""How an exchange ended.

ok: a complete answer below 400. upstream_error: a complete answer of 400 or above, from upstream. refused: our own
answer, nothing was sent. failed: no answer came from upstream. truncated: an answer began and did not end well.
client_abort: the client went first. denied: the seal stopped an unreleased request. internal: a bug of ours.
"""

_KEY: Final = "_sluicegate"
_OWN_BODY: Final = 64 * 1024
"""Bytes of a request to one of the gate's own endpoints."""


def exchange_of(flow: http.HTTPFlow) -> Exchange | None:
    """The flow's current Exchange, or None."""
    return flow.__dict__.get(_KEY)


def attach(flow: http.HTTPFlow, exchange: Exchange | None) -> None:
    """Hang an Exchange on its flow; None takes it off."""
    if exchange is None:
        flow.__dict__.pop(_KEY, None)
    else:
        flow.__dict__[_KEY] = exchange


class AttemptsPort(Protocol):
    """The attempts that the router makes for an exchange, as the proxy and the chain use them."""

    delay_s: float
    """How long to wait before the first attempt, in seconds."""
    told: list[dict[str, Any]]
    """The failed attempts, for the audit record."""

    @property
    def left(self) -> bool:
        """Whether another attempt may follow the present one."""
        ...

    def retryable(self, x: Exchange, response: http.Response) -> bool: ...
    def passes_on(self, response: http.Response, status: int) -> None: ...
    def elsewhere(self, x: Exchange, status: int) -> bool: ...
    def answered(self, response: http.Response) -> None: ...
    async def again(self, x: Exchange, failure: Failure) -> bool: ...


@dataclass(slots=True, eq=False)
class Exchange:
    """One request of one client, from its headers to the end of its answer."""

    id: str
    flow: http.HTTPFlow
    policy: PolicyPort
    door: Door
    surface: Surface
    started: float
    """Monotonic seconds."""
    started_at: float
    """Unix seconds."""
    presented: Fields = field(default=(), repr=False)
    """The client's own credentials: taken off the flow, put back only at the seal and only for their own host."""
    client_host: str = ""
    """The Host that the client asked for, before mitmproxy rewrote it."""
    origin: Origin = (False, "", 0)
    """Where the request would go by itself: the door's target, or the host that the client named."""
    own: bool = False
    """A request for one of the gate's own endpoints."""
    websocket: bool = False
    admitted: bytes | None = field(default=None, repr=False)
    """The hash of the key that opened the tunnel this came through, b"" where none was asked for; None: no tunnel."""
    caller: Caller | None = None
    """Who calls: set by Identity; None where it does not run, and in requests that it refused."""

    model: str | None = None
    """The model that the client asked for, where the target is asked for another one."""
    session_id: str | None = None
    agent_id: str | None = None
    target: Target | None = None
    """Set by Router; where no Router runs, the Chain sends the request to `origin`."""
    bridge: Translation | None = None
    """Set by Router per attempt: the request as its target's format has it, and how the answer is read."""
    answer: http.Response | None = None
    """Set by a stage that answers by itself: ends the descent."""
    source: ByteSource | None = None
    """Set together with `answer` when its body arrives over time."""
    attempts: AttemptsPort | None = None
    """Set by Router while a failed attempt may still be followed by another."""
    tries: list[dict[str, Any]] = field(default_factory=list)
    """The attempts that failed, as the audit record tells them."""
    failed: Failure | None = None
    """How the last of them did."""
    again: bool = False
    """Another attempt follows it."""
    label: str | None = None
    """The cache's word: HIT, MISS, …; None where no cache runs."""

    billed: tuple[Prices, float | None] | None = None
    """What its call cost, by these prices (exchange/cost.py)."""
    release: Release | None = None
    call: Call | None = None
    kept: KeptBody | None = None
    taps: Taps = field(default_factory=Taps)
    first_byte: float | None = None
    """Monotonic seconds when the client's first byte of an answer was ready."""
    status: int | None = None
    outcome: Outcome | None = None
    error: str | None = None
    """What went wrong, in words fit for a log: no body, no credential."""
    abort: str | None = None
    """Set while the answer's headers are looked at: it must not be passed on, for this reason."""
    own_error: bool = False
    """The answer is ours (refused, denied, failed or a bug), not the provider's."""
    closed: bool = False
    fields: dict[str, Any] = field(default_factory=dict)
    """Typed per-stage state, under the stage's name."""
    slots: dict[object, object] = field(default_factory=dict)
    """Typed state of the stages and of the chain, by their Slot (exchange/slots.py)."""

    error_status: int | None = None
    """The HTTP status of our own error answer, where it is another than the proxy core would say."""
    shared: Shared | None = None
    """Set by a stage when others may come to listen to this exchange's call."""
    orphaned: bool = False
    """The client has left, and the call goes on for those others."""
    answered_whole: bool = False
    """The answer came to its clean end."""
    interrupted: str | None = None
    """Why the gate itself ends the exchange before its time."""
    stop_stream: Callable[[], None] | None = None
    """Set by the stream that serves the exchange: makes it look at `interrupted`."""

    _facts: RequestFacts | None = None
    _facts_of: bytes | None = None
    _facts_at: bytes = b""
    _gone: bool = False
    _gone_waiters: list[asyncio.Future[None]] = field(default_factory=list)
    _over_waiters: list[asyncio.Future[None]] = field(default_factory=list)
    _closed_waiters: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def client_chose(self) -> bool:
        """Whether this goes to a host that the client named and that is no provider's."""
        if self.own or self.door not in ("regular", "upstream"):
            return False
        return self.origin[1].lower().rstrip(".") not in self.policy.decrypts

    @property
    def request(self) -> http.Request:
        return self.flow.request

    @property
    def timeouts(self) -> Timeouts:
        """The time limits that hold for this request at its present target."""
        return self.policy.timeouts_for(self.target.provider if self.target else "")

    @property
    def body_limit(self) -> tuple[int, str]:
        """The most bytes of the request body, and the config key that sets it."""
        if self.own:
            return _OWN_BODY, "none"
        if self.inference:
            return int(self.policy.settings.max_body), "max_body"
        return int(self.policy.settings.max_upload), "max_upload"

    @property
    def ping_s(self) -> float:
        """Seconds of silence after which a streaming client gets a ping; 0 for never."""
        return self.policy.settings.ping_s

    @property
    def attempts_made(self) -> int:
        """How many attempts it took: those that failed and, unless the last of them was final, the one that followed."""
        gave_up = self.failed is not None and not self.again
        return len(self.tries) + (not gave_up)

    @property
    def inference(self) -> bool:
        return self.surface in INFERENCE

    @property
    def in_messages(self) -> bool:
        """Whether the answer, as stages see it, is one of the Messages API, streamed or not."""
        if self.surface != "chat_completions" or self.answer is not None:
            return self.surface in ANSWERS
        return self.bridge is not None and self.bridge.entered is not None

    @property
    def facts(self) -> RequestFacts | None:
        """The request body's facts, read once per body; None where the body is no JSON object."""
        body = self.flow.request.data.content
        if self.bridge is not None and (body is self.bridge.prepared.body or not self.bridge.as_asked):
            return self.bridge.facts
        if not self.inference or not body:
            return None
        path = self.flow.request.data.path
        if body is not self._facts_of or path != self._facts_at:
            self._facts_of, self._facts_at = body, path
            self._facts = read_facts(self.surface, path.decode("ascii", "replace"), body)
        return self._facts

    def status_of(self, default: int) -> int:
        """The HTTP status of our own error answer, where the proxy core would say `default`."""
        return 500 if self.outcome in ("denied", "internal") else self.error_status or default

    def cut_short(self, *, empty: bool) -> str | None:
        """At the clean end of an answer: why it is not whole after all, or None. Only streams can tell.

        `empty`: not a byte of it came. Bytes without a single event are no stream that we can judge: they pass.
        """
        facts = self.call.facts if self.call else None
        if facts is None or self.surface not in ANSWERS or self.status != 200 or not facts.stream:
            return None
        if facts.complete or facts.error_type or facts.note or (not facts.events and not empty):
            return None
        return "the upstream ended the stream before message_stop"

    def summary(self) -> dict[str, Any]:
        """What happened, as plain values: for `flow.metadata`, so that saved flows and mitmweb can show it."""
        return {
            "id": self.id,
            "door": self.door,
            "surface": self.surface,
            "target": str(self.target) if self.target else None,
            "provider": self.target.provider if self.target else None,
            "status": self.status,
            "outcome": self.outcome,
            "error": self.error,
        }

    # -- the client having gone
    @property
    def gone(self) -> bool:
        return self._gone

    def client_gone(self) -> None:
        """The proxy core saw the client leave."""
        self._gone = True
        _wake(self._gone_waiters)
        _wake(self._over_waiters)

    async def until_gone(self) -> None:
        """Return when the client has left: for stages that wait."""
        if not self._gone:
            await _woken(self._gone_waiters)

    # -- the end
    def close(self) -> None:
        """Nothing more will happen to this exchange."""
        self.closed = True
        _wake(self._closed_waiters)

    async def until_closed(self) -> None:
        """Return when the exchange is over."""
        if not self.closed:
            await _woken(self._closed_waiters)

    # -- being told to end
    def interrupt(self, reason: str) -> None:
        """End the exchange now, visibly: the client gets an error that says why."""
        self.interrupted, self.attempts, self.error_status = reason, None, 503
        _wake(self._over_waiters)
        if self.stop_stream:
            self.stop_stream()

    async def wait(self, seconds: float) -> bool:
        """Wait, unless the client leaves or the exchange is interrupted. True: the time is up."""
        if self._gone or self.interrupted:
            return False
        try:
            await asyncio.wait_for(_woken(self._over_waiters), seconds)
        except TimeoutError:
            return True
        return False


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()


async def _woken(waiters: list[asyncio.Future[None]]) -> None:
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiters.append(waiter)
    try:
        await waiter
    finally:  # a long-lived answer waits here again and again
        if waiter in waiters:
            waiters.remove(waiter)


def new_id() -> str:
    """An exchange id: sortable by time, unguessable enough to tell apart."""
    return f"sg_{time.time_ns() // 1_000_000:011x}{os.urandom(6).hex()}"
