"""Exchange: one client request's typed state, from its headers to the end of its answer.

An Exchange hangs on its flow as an attribute, never in `flow.metadata`: attributes are dropped when a flow is copied or
saved, so nothing here (credentials above all) can end up in a file. At the end a plain-dict summary goes to
`flow.metadata["sluicegate"]`.

    routing   where the request goes: target, attempts, release, call        (Routing, below)
    ending    how it ended, and whether the answer is the gate's own         (ending.py)
    life      the client may leave, the gate may interrupt, the end          (lifetime.py)
    slots     state of the stages, each in a typed Slot                      (slots.py)
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from mitmproxy import http

from sluicegate.core.addresses import canonical_host
from sluicegate.core.formats.client_format import ClientFormat
from sluicegate.core.identity.caller import Caller
from sluicegate.core.messages.facts import RequestFacts
from sluicegate.core.routing.answers import AnswerVerdict
from sluicegate.core.wire.header_fields import HeaderFields
from sluicegate.exchange.bodies import ByteSource, KeptBody
from sluicegate.exchange.call import Call, Failure
from sluicegate.exchange.ending import Ending
from sluicegate.exchange.lifetime import Lifetime
from sluicegate.exchange.ports import PolicyPort
from sluicegate.exchange.release import Origin, Release, Target
from sluicegate.exchange.taps import Taps
from sluicegate.exchange.translation import Translation
from sluicegate.settings.timeouts import Timeouts

__all__ = ["AttemptsPort", "Door", "Exchange", "Routing", "attach", "exchange_of", "new_id"]

Door = Literal["reverse", "regular", "upstream", "replay", "other"]

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
    failed_attempts: list[dict[str, Any]]
    """The failed attempts, for the audit record."""

    @property
    def left(self) -> bool:
        """Whether another attempt may follow the present one."""
        ...

    def classify(self, x: Exchange, response: http.Response) -> AnswerVerdict: ...
    def record(self, x: Exchange, response: http.Response, verdict: AnswerVerdict) -> None: ...
    def passes_on(self, response: http.Response, status: int) -> None: ...
    def elsewhere(self, x: Exchange, status: int) -> bool: ...
    def fails(self, x: Exchange, response: http.Response, body: bytes) -> bool: ...
    def may_fail(self, status: int) -> bool: ...
    def answered(self, response: http.Response) -> None: ...
    async def again(self, x: Exchange, failure: Failure) -> bool: ...


@dataclass(slots=True, eq=False)
class Routing:
    """Where a request goes, and how far it has come on its way."""

    target: Target | None = None
    """Set by Router; if no Router runs, the Chain sends the request to the exchange's `origin`."""
    translation: Translation | None = None
    """Set by Router per attempt: the request as its target's format has it, and how the answer is read."""
    attempts: AttemptsPort | None = None
    """Set by Router while a failed attempt may still be followed by another."""
    failed_attempts: list[dict[str, Any]] = field(default_factory=list)
    """The attempts that failed, as the audit record has them."""
    gave_up: bool = False
    """No other attempt follows the last of them."""
    release: Release | None = None
    call: Call | None = None

    @property
    def attempts_made(self) -> int:
        """How many attempts it took: those that failed and, unless the last of them was final, the one that followed."""
        return len(self.failed_attempts) + (not self.gave_up)


@dataclass(slots=True, eq=False)
class _FactsOfBody:
    """Request facts, read once per body and path."""

    facts: RequestFacts | None = None
    body: bytes | None = None
    path: bytes = b""


@dataclass(slots=True, eq=False)
class Exchange:
    """One request of one client, from its headers to the end of its answer."""

    id: str
    flow: http.HTTPFlow
    policy: PolicyPort
    door: Door
    format: ClientFormat
    """The client's format: what its request is in, and what its answer must be in."""
    started: float
    """Monotonic seconds."""
    started_at: float
    """Unix seconds."""
    client_credentials: HeaderFields = field(default=(), repr=False)
    """The client's own credentials: taken off the flow, put back only at the seal and only for their own host."""
    client_host: str = ""
    """The Host that the client asked for, before mitmproxy rewrote it."""
    origin: Origin = (False, "", 0)
    """Where the request would go by itself: the door's target, or the host that the client named."""
    is_admin_endpoint: bool = False
    """A request for one of the gate's own endpoints."""
    websocket: bool = False
    tunnel_key_hash: bytes | None = field(default=None, repr=False)
    """The hash of the key that opened the tunnel this came through, b"" if none was asked for; None: no tunnel."""
    edited: bool = False
    """A user held the request back in the user interface, and may have changed it."""
    caller: Caller | None = None
    """Who calls: set by Identity; None if it does not run, and in requests that it refused."""
    model: str | None = None
    """The model that the client asked for, if the target is asked for another one."""
    session_id: str | None = None
    agent_id: str | None = None

    answer: http.Response | None = None
    """Set by a stage that answers by itself: ends the descent."""
    source: ByteSource | None = None
    """Set together with `answer` if its body arrives over time."""
    cache_status: str | None = None
    """The result of the cache lookup: HIT, MISS, …; None if no cache runs."""
    taps: Taps = field(default_factory=Taps)
    kept_body: KeptBody | None = None
    """The provider's bytes, if the flow will be looked at or saved."""
    first_byte: float | None = None
    """Monotonic seconds when the client's first byte of an answer was ready."""
    status: int | None = None
    answered_whole: bool = False
    """The answer came to its clean end."""

    routing: Routing = field(default_factory=Routing)
    ending: Ending = field(default_factory=Ending)
    life: Lifetime = field(default_factory=Lifetime)
    slots: dict[object, object] = field(default_factory=dict)
    """Typed state of the stages and of the chain, by their Slot."""
    _facts: _FactsOfBody = field(default_factory=_FactsOfBody)

    @property
    def client_chose(self) -> bool:
        """Whether this goes to a host that the client named and that is not a provider's."""
        if self.is_admin_endpoint or self.door not in ("regular", "upstream"):
            return False
        return canonical_host(self.origin[1]) not in self.policy.decrypts

    @property
    def request(self) -> http.Request:
        return self.flow.request

    @property
    def timeouts(self) -> Timeouts:
        """The time limits of this request at its present target."""
        target = self.routing.target
        return self.policy.timeouts_for(target.provider if target else "")

    @property
    def body_limit(self) -> tuple[int, str]:
        """The most bytes of the request body, and the config key that sets it."""
        if self.is_admin_endpoint:
            return _OWN_BODY, "none"
        if self.inference:
            return int(self.policy.settings.max_body), "max_body"
        return int(self.policy.settings.max_upload), "max_upload"

    @property
    def ping_s(self) -> float:
        """Seconds of silence after which a streaming client gets a ping; 0 for never."""
        return self.policy.settings.ping_s

    @property
    def surface(self) -> str:
        """The format's name, as records have it."""
        return self.format.name

    @property
    def inference(self) -> bool:
        return self.format.inference

    @property
    def in_messages(self) -> bool:
        """Whether the answer, as stages see it, is one of the Messages API, streamed or not."""
        if self.format.answers_like_messages or self.answer is not None:
            return self.format.answers
        translation = self.routing.translation
        return translation is not None and translation.client_request is not None

    @property
    def facts(self) -> RequestFacts | None:
        """The request body's facts, read once per body; None if the body is not a JSON object."""
        d = self.flow.request.data
        body, translation = d.content, self.routing.translation
        if translation is not None and (body is translation.prepared.body or not translation.as_asked):
            return translation.facts
        if not self.inference or not body:
            return None
        known = self._facts
        if body is not known.body or d.path != known.path:
            known.body, known.path = body, d.path
            known.facts = self.format.read_facts(d.path.decode("ascii", "replace"), body)
        return known.facts

    def truncation_reason(self, *, empty: bool) -> str | None:
        """At the clean end of an answer: why it is not whole after all, or None. Only streams can tell.

        `empty`: not a byte of it came. Bytes without a single event are not a stream that we can judge: they pass.
        """
        call = self.routing.call
        facts = call.facts if call else None
        if facts is None or not self.format.answers or self.status != 200 or not facts.stream:
            return None
        if facts.complete or facts.error_type or facts.note or (not facts.events and not empty):
            return None
        return "the upstream ended the stream before message_stop"

    def summary(self) -> dict[str, Any]:
        """What happened, as plain values: for `flow.metadata`, so that saved flows and mitmweb can show it."""
        target = self.routing.target
        return {
            "id": self.id,
            "door": self.door,
            "surface": self.surface,
            "target": str(target) if target else None,
            "provider": target.provider if target else None,
            "status": self.status,
            "outcome": self.ending.outcome,
            "error": self.ending.error,
        }

    def interrupt(self, reason: str) -> None:
        """End the exchange now, visibly: the client gets an error that says why."""
        self.routing.attempts, self.ending.status = None, 503
        self.life.interrupt(reason)


def new_id() -> str:
    """An exchange id: sortable by time, unguessable enough to tell apart."""
    return f"sg_{time.time_ns() // 1_000_000:011x}{os.urandom(6).hex()}"
