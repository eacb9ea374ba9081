"""Limiter: admits a call if all its limits have room. Reserves its estimated usage, and settles its real usage at the end.

core/limits/rules.py says which limits apply. usage_estimator.py makes the estimate (in strict mode the worst case) and
reads the real usage from the provider's bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from sluicegate.core.errors import Refused
from sluicegate.core.identity.caller import Caller
from sluicegate.core.limits.counters import Charge, Counter, LimitUsage
from sluicegate.core.limits.estimate import Amounts, charges
from sluicegate.core.limits.models import (
    Forbidden,
    choose,
    downgrades,
    names_models,
)
from sluicegate.core.limits.refusals import budget_warning, rate_headers, refusal
from sluicegate.core.limits.reservations import (
    Admitted,
    Denied,
    ReserveRequest,
    Verdict,
)
from sluicegate.core.limits.rules import Rules
from sluicegate.core.routing.paths import may_start_models
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.slots import Slot
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.settings.limits import Limits
from sluicegate.stages.base import Stage
from sluicegate.stages.limiter.batches import Batches
from sluicegate.stages.limiter.first_provider import FirstProvider
from sluicegate.stages.limiter.reservations import reservations_for
from sluicegate.stages.limiter.run_until_blocked import run_until_blocked
from sluicegate.stages.limiter.usage_estimator import UsageEstimator

__all__ = ["Limiter"]

ANONYMOUS: Final = Caller("anonymous")
_STORE_DOWN_S: Final = 5.0
_OF_THE_ACCOUNT: Final = (b"anthropic-ratelimit-", b"anthropic-priority-", b"x-ratelimit-")
"""A provider's headers about its whole account: users of virtual keys must not see what others have used."""
NOTHING: Final = Amounts()


@dataclass(slots=True)
class LimiterState:
    """The limiter's state of one exchange."""

    caller: Caller
    counters: tuple[Counter, ...] = ()
    reserved: Amounts = NOTHING
    batch: tuple[Charge, ...] = ()
    """The charges of a batch. They are final once it is sent: the gate does not see what it uses."""
    open: bool = False
    """A reservation must be settled."""
    verdict: Verdict | None = None
    warning: str | None = None
    """The usage of the fullest budget, if it is nearly spent."""
    limit: str | None = None
    """The path in the configuration of the limit that refused it."""
    model: str | None = None
    """The model that replaced the requested one."""
    model_rule: str | None = None


_STATE: Final = Slot[LimiterState]("limiter")


@dataclass(eq=False)
class Limited(Refused):
    """A refusal with the caller's rate-limit headers."""

    verdict: Denied | None = None

    def headers(self) -> list[tuple[bytes, bytes]]:
        return super().headers() + (rate_headers(self.verdict) if self.verdict else [])


class Limiter(Stage):
    name: ClassVar[str] = "limiter"

    def __init__(self, settings: Settings, services: Services) -> None:
        super().__init__(settings, services)
        self.limits = settings.limits
        self.rules = Rules(self.limits)
        self.reservations = reservations_for(services, settings)
        self.estimator = UsageEstimator(settings, services, self.reservations)
        self.provider = FirstProvider(settings, services.default_provider)
        self.batches = Batches(self.rules, self.estimator, self.provider, services.stats)
        self.stats = services.stats
        self.alarm = services.alarm
        self.hidden_headers = _OF_THE_ACCOUNT if settings.identity.mode == "keys" else ()

    @classmethod
    def idle(cls, settings: Settings) -> bool:
        """Idle without limits; virtual keys may have limits of their own."""
        limits, nothing = settings.limits, Limits()
        given = any(
            getattr(limits, name) != getattr(nothing, name)
            for name in ("default", "teams", "keys", "users", "models", "providers", "runaway")
        )
        return not given and settings.identity.mode != "keys"

    async def usage(self, caller: Caller) -> tuple[LimitUsage, ...] | None:
        """The usage of a caller's limits, with those that it shares with its team; None if the store is down."""
        return await self.reservations.peek(self.rules.counters(caller))

    # -- the request
    def request(self, x: Exchange) -> Awaitable[None] | None:
        return run_until_blocked(self._admit(x))

    async def _admit(self, x: Exchange) -> None:
        caller = x.caller or ANONYMOUS
        state = _STATE.set(x, LimiterState(caller))
        if x.inference:
            await self._choose_model(x, state)
        elif may_start_models(x.request.method, x.request.path):
            state.batch = self.batches.charges(x, caller)
        model = (x.facts.model if x.facts else None) or ""
        state.counters = self._counters(x, caller, model)
        if not state.counters and not state.batch:
            return
        provider = self.provider.of(model)
        state.reserved = self.estimator.estimate(x, state.counters, caller.key_id, model, provider)
        reserved = state.batch or charges(state.counters, state.reserved)
        request = ReserveRequest(x.id, reserved, int(self.limits.lease_s * 1000))
        try:
            verdict = await self._ask(x, request, caller)
        except BaseException:
            self.reservations.settle(x.id)  # the store may have admitted it all the same
            raise
        if x.life.gone or x.life.closed:  # settle() will not be called
            self.reservations.settle(x.id)
            return
        match verdict:
            case Admitted():
                state.verdict = verdict
                state.warning = self._warn(verdict)
                if any(counter.kind == "concurrency" for counter, _ in reserved):
                    x.life.before_end = lambda: run_until_blocked(self.reservations.free_slots(x.id))
            case Denied():
                self._refuse(x, state, verdict)
            case None if self.limits.when_store_down == "closed":
                self.reservations.settle(x.id)
                raise Refused(
                    503,
                    "the limits store is unavailable, and limits.when_store_down is set to closed; retry shortly",
                    retry_after=_STORE_DOWN_S,
                    should_retry=True,
                )
        state.open = True

    async def _ask(self, x: Exchange, request: ReserveRequest, caller: Caller) -> Verdict | None:
        queue, queue_s = self.reservations.queue, self.limits.queue_s
        must_queue = bool(queue_s) and caller.key_id in queue
        verdict = None if must_queue else await self.reservations.reserve(request)
        if must_queue or (queue_s and isinstance(verdict, Denied) and _may_wait(verdict, queue_s)):
            before = verdict if isinstance(verdict, Denied) else None
            ask = lambda: self.reservations.reserve(request)  # noqa: E731
            return await queue.wait(caller.key_id, ask, before, queue_s, x.life.until_gone())
        return verdict

    def _counters(self, x: Exchange, caller: Caller, model: str) -> tuple[Counter, ...]:
        counters = self.rules.counters(caller, model, self.provider.of(model))
        runaway = self.limits.runaway
        if not x.format.answers or not (runaway.same_request or runaway.session_usd):
            return counters
        digest = ""
        if runaway.same_request:
            digest = hashlib.sha256(caller.key_id.encode() + b"\0" + (x.request.data.content or b"")).hexdigest()[:32]
        session = f"{caller.key_id}:{x.session_id}" if x.session_id else None
        return (*counters, *self.rules.runaway(digest, session))

    # -- models
    async def _choose_model(self, x: Exchange, state: LimiterState) -> None:
        layers = self.rules.layers(state.caller)
        if not names_models(layers):
            return
        asked = (x.facts.model if x.facts else None) or ""
        used = await self._budgets_used(state.caller, downgrades(layers, asked))
        chosen = choose(asked, layers, lambda scope: used.get(scope, 0.0))
        if isinstance(chosen, Forbidden):
            state.limit = chosen.name
            self.stats.limited[chosen.name] += 1
            raise Refused(403, chosen.message, should_retry=False)
        if chosen.why is not None and chosen.model != asked:
            d = x.request.data
            path, d.content = x.format.rename(x.request.path, d.content or b"", chosen.model)
            d.path = path.encode()
            d.headers["content-length"] = str(len(d.content))
            state.model, state.model_rule = chosen.model, chosen.why
            x.model = x.model or asked

    async def _budgets_used(self, caller: Caller, scopes: frozenset[str]) -> dict[str, float]:
        if not scopes:
            return {}
        budgets = [c for c in self.rules.counters(caller) if c.kind == "budget" and _scope(c) in scopes]
        used: dict[str, float] = {}
        for usage in await self.reservations.peek(budgets) or ():
            scope = _scope(usage.counter)
            used[scope] = max(used.get(scope, 0.0), usage.used / usage.counter.limit)
        return used

    # -- the verdict and the answer
    def _refuse(self, x: Exchange, state: LimiterState, denied: Denied) -> None:
        counter = denied.counter
        state.limit = counter.name
        self.stats.limited[counter.name] += 1
        if counter.name.startswith("limits.runaway.") and self.reservations.should_report(counter.key):
            self.alarm("limits.runaway", limit=counter.name, key=state.caller.key_id, session=x.session_id)
        r = refusal(denied)
        raise Limited(r.status, r.message, None, r.retry_after_s, r.should_retry, verdict=denied)

    def _warn(self, verdict: Admitted) -> str | None:
        warning = budget_warning(verdict)
        if warning is None:
            return None
        usage, text = warning
        if self.reservations.should_report(f"budget:{usage.counter.key}:{usage.resets_ms}"):
            self.alarm("limits.budget", limit=usage.counter.name, whose=usage.counter.owner, used=text)
        return text

    def answer(self, x: Exchange) -> None:
        state = _STATE.find(x)
        response = x.flow.response
        if state is None or response is None:
            return
        own = rate_headers(state.verdict) if state.verdict else []
        names = {name for name, _ in own}
        theirs = self.hidden_headers
        if own or theirs:
            headers = response.headers  # one assignment: each one copies all headers
            kept = [f for f in headers.fields if (k := f[0].lower()) not in names and not (theirs and k.startswith(theirs))]
            headers.fields = (*kept, *own)
        if state.warning:
            response.headers["x-sluicegate-budget"] = state.warning
        if state.model:
            response.headers["x-sluicegate-model"] = state.model.encode("ascii", "replace").decode()

    # -- the end
    def settle(self, x: Exchange) -> None:
        state = _STATE.find(x)
        if state is None or not state.open:
            return
        state.open, x.life.before_end = False, None
        used = self.estimator.used(x, state.counters, state.caller.key_id, state.reserved)
        if state.batch and used and (x.routing.call is None or (x.routing.call.status or 0) < 400):
            self.reservations.settle(x.id, state.batch)
            return
        counters = state.counters
        if self.limits.providers and x.routing.call and (provider := x.routing.call.target.provider):
            own = (c for c in counters if not c.key.startswith("provider:"))
            counters = (*own, *self.rules.of_provider(provider))
        self.reservations.settle(x.id, charges(counters, used) if used else ())

    def report(self, x: Exchange) -> Mapping[str, object]:
        state = _STATE.find(x)
        return {"model_rule": state.model_rule, "limit": state.limit} if state else {}


def _may_wait(denied: Denied, within_s: float) -> bool:
    """Whether the call may wait: not for a budget's reset, and not if the client is in a loop."""
    if denied.counter.name.startswith("limits.runaway."):
        return False
    return denied.available_ms is None or (denied.available_ms - denied.now_ms) / 1000 <= within_s


def _scope(counter: Counter) -> str:
    """`team:a` of `team:a:usd:day`."""
    return counter.key.rsplit(":", 2)[0]
