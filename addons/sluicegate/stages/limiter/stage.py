"""Limiter: may this call be made now? Reserves what it may use, settles what it has used.

Every limit that matches must have room (core/limits/rules.py). What is reserved is an estimate, in strict mode the worst
case; what is settled is what the provider's bytes say (stages/limiter/usage_estimator.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar, Final

from sluicegate.core.errors import Refused
from sluicegate.core.formats.facts import renamed
from sluicegate.core.formats.surfaces import ANSWERS
from sluicegate.core.identity.account import (
    BatchPart,
    batch_parts,
    is_batch,
    may_start_models,
)
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
from sluicegate.core.limits.rules import Layer, Rules
from sluicegate.exchange.exchange import Exchange
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.settings.limits import Limits
from sluicegate.stages.base import Stage
from sluicegate.stages.limiter.reservations import reservations_for
from sluicegate.stages.limiter.run_until_blocked import run_until_blocked
from sluicegate.stages.limiter.usage_estimator import UsageEstimator

__all__ = ["Limiter", "LimiterFields"]

UNKNOWN: Final = "and what it costs is not known before: with a budget, or for some models only, it can not be used"
ANYBODY: Final = Caller("anonymous")
_STORE_DOWN_S: Final = 5.0
_OF_THE_ACCOUNT: Final = (b"anthropic-ratelimit-", b"anthropic-priority-", b"x-ratelimit-")
"""Headers of a provider that tell what is left to all who share its account: holders of our keys get their own."""
NOTHING: Final = Amounts()


@dataclass(slots=True)
class LimiterFields:
    """What Limiter keeps of one exchange."""

    caller: Caller
    counters: tuple[Counter, ...] = ()
    reserved: Amounts = NOTHING
    batch: tuple[Charge, ...] = ()
    """What a batch is charged, once it was sent: what it uses later nobody tells."""
    open: bool = False
    """Something is to be settled."""
    verdict: Verdict | None = None
    warning: str | None = None
    """How full its fullest budget is, where that is worth a word."""
    limit: str | None = None
    """The limit that refused it, by its name in the configuration."""
    model: str | None = None
    """The model that it was given instead of the one asked for."""
    model_rule: str | None = None


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

    @classmethod
    def idle(cls, settings: Settings) -> bool:
        """Without a limit there is nothing to do; virtual keys may bring limits of their own."""
        limits, nothing = settings.limits, Limits()
        given = any(
            getattr(limits, name) != getattr(nothing, name)
            for name in ("default", "teams", "keys", "users", "models", "providers", "runaway")
        )
        return not given and settings.identity.mode != "keys"

    async def usage(self, caller: Caller) -> tuple[LimitUsage, ...] | None:
        """Where a caller's limits stand, those that it shares with its team included; None where the store is down."""
        return await self.reservations.peek(self.rules.counters(caller))

    # -- the request
    def request(self, x: Exchange) -> Awaitable[None] | None:
        return run_until_blocked(self._admit(x))

    async def _admit(self, x: Exchange) -> None:
        caller = x.caller or ANYBODY
        fields = x.fields[self.name] = LimiterFields(caller)
        if x.inference:
            await self._choose_model(x, fields)
        elif may_start_models(x.request.method, x.request.path):
            fields.batch = self._batch(x, caller)
        model = (x.facts.model if x.facts else None) or ""
        fields.counters = self._counters(x, caller, model)
        if not fields.counters and not fields.batch:
            return
        provider = self._provider(model)
        fields.reserved = self.estimator.estimate(x, fields.counters, caller.key_id, model, provider)
        reserved = fields.batch or charges(fields.counters, fields.reserved)
        request = ReserveRequest(x.id, reserved, int(self.limits.lease_s * 1000))
        try:
            verdict = await self._ask(x, request, caller)
        except BaseException:
            self.reservations.settle(x.id)  # whoever was waited for may still have said yes
            raise
        if x.gone or x.closed:  # nobody will settle it
            self.reservations.settle(x.id)
            return
        match verdict:
            case Admitted():
                fields.verdict = verdict
                fields.warning = self._warn(verdict)
            case Denied():
                self._refuse(x, fields, verdict)
            case None if self.limits.when_store_down == "closed":
                self.reservations.settle(x.id)
                raise Refused(
                    503,
                    "the store of the limits can not be reached, and the gate lets nothing through without it "
                    "(limits.when_store_down); try again soon",
                    retry_after=_STORE_DOWN_S,
                    should_retry=True,
                )
        fields.open = True

    async def _ask(self, x: Exchange, request: ReserveRequest, caller: Caller) -> Verdict | None:
        queue, queue_s = self.reservations.queue, self.limits.queue_s
        waits_already = bool(queue_s) and caller.key_id in queue
        verdict = None if waits_already else await self.reservations.reserve(request)
        if waits_already or (queue_s and isinstance(verdict, Denied) and _comes_free(verdict, queue_s)):
            before = verdict if isinstance(verdict, Denied) else None
            ask = lambda: self.reservations.reserve(request)  # noqa: E731
            return await queue.wait(caller.key_id, ask, before, queue_s, x.until_gone())
        return verdict

    def _counters(self, x: Exchange, caller: Caller, model: str) -> tuple[Counter, ...]:
        counters = self.rules.counters(caller, model, self._provider(model))
        runaway = self.limits.runaway
        if x.surface not in ANSWERS or not (runaway.same_request or runaway.session_usd):
            return counters
        digest = ""
        if runaway.same_request:
            digest = hashlib.sha256(caller.key_id.encode() + b"\0" + (x.request.data.content or b"")).hexdigest()[:32]
        session = f"{caller.key_id}:{x.session_id}" if x.session_id else None
        return (*counters, *self.rules.runaway(digest, session))

    def _batch(self, x: Exchange, caller: Caller) -> tuple[Charge, ...]:
        """What a batch is charged; () for what is none. Raises Refused where a limit could not hold."""
        layers = self.rules.layers(caller)
        holds = [c for c in self.rules.counters(caller, "", self._provider("")) if c.kind == "budget"]
        parts = batch_parts(x.request.data.content or b"") if is_batch(x.request.method, x.request.path) else None
        if parts is None:
            if self._we_pay(x) and (holds or any(layer.limit.models or layer.limit.deny for layer in layers)):
                what = x.request.path.partition("?")[0][:100]
                raise Refused(403, f"{what} could start any model, {UNKNOWN}", should_retry=False)
            return ()
        by_model: dict[str, list[BatchPart]] = {}
        for part in parts:
            by_model.setdefault(part.model or "", []).append(part)
        for model in by_model if names_models(layers) else ():
            self._check_batch_model(x, model, layers)
        charged = {c: c.unit in ("requests", "concurrency") for c in self.rules.counters(caller)}
        amounts: dict[Counter, int] = {c: int(one) for c, one in charged.items()}
        for model, of_model in by_model.items():
            provider = self._provider(model)
            estimate = self.estimator.estimate_batch(x, of_model, caller.key_id, provider)
            for counter, amount in charges(self.rules.counters(caller, model, provider), estimate):
                amounts[counter] = amounts.get(counter, 0) + (amount if counter.kind == "budget" else 0)
        return tuple([Charge(counter, amount) for counter, amount in amounts.items()])

    def _we_pay(self, x: Exchange) -> bool:
        """Whether a key of ours would go with it. Through a proxy, what is no API call is the client's own affair."""
        if x.client_chose or (x.door != "reverse" and not x.request.path.startswith("/v1/")):
            return False
        configured = self.settings.providers.get(self._provider(""))
        return self.settings.identity.mode == "keys" or (configured is not None and bool(configured.keys))

    def _check_batch_model(self, x: Exchange, model: str, layers: Sequence[Layer]) -> None:
        """Raises Refused for a model that the caller may not use, or would get another one for."""
        chosen = choose(model, layers)
        if isinstance(chosen, Forbidden):
            self.services.stats.limited[chosen.name] += 1
            raise Refused(403, chosen.message, should_retry=False)
        if chosen.model != model:
            raise Refused(
                400, f"a batch is not rewritten: ask for {chosen.model!r} in it ({chosen.why})", should_retry=False
            )

    def _provider(self, model: str) -> str:
        """The provider that the routes try first: its limits are asked. What another one serves is charged to that one."""
        for route in self.settings.routes:
            if fnmatchcase(model, route.model):
                return route.targets[0].provider
        return next(iter(self.settings.providers), self.services.default_provider)

    # -- models
    async def _choose_model(self, x: Exchange, fields: LimiterFields) -> None:
        layers = self.rules.layers(fields.caller)
        if not names_models(layers):
            return
        asked = (x.facts.model if x.facts else None) or ""
        used = await self._budgets_used(fields.caller, downgrades(layers, asked))
        chosen = choose(asked, layers, lambda scope: used.get(scope, 0.0))
        if isinstance(chosen, Forbidden):
            fields.limit = chosen.name
            self.services.stats.limited[chosen.name] += 1
            raise Refused(403, chosen.message, should_retry=False)
        if chosen.why is not None and chosen.model != asked:
            d = x.request.data
            path, d.content = renamed(x.surface, x.request.path, d.content or b"", chosen.model)
            d.path = path.encode()
            d.headers["content-length"] = str(len(d.content))
            fields.model, fields.model_rule = chosen.model, chosen.why
            x.model = x.model or asked

    async def _budgets_used(self, caller: Caller, scopes: frozenset[str]) -> dict[str, float]:
        if not scopes:
            return {}
        budgets = [c for c in self.rules.counters(caller) if c.kind == "budget" and _scope(c) in scopes]
        used: dict[str, float] = {}
        for level in await self.reservations.peek(budgets) or ():
            scope = _scope(level.counter)
            used[scope] = max(used.get(scope, 0.0), level.used / level.counter.limit)
        return used

    # -- what is told
    def _refuse(self, x: Exchange, fields: LimiterFields, denied: Denied) -> None:
        counter = denied.counter
        fields.limit = counter.name
        self.services.stats.limited[counter.name] += 1
        if counter.name.startswith("limits.runaway.") and self.reservations.once(counter.key):
            self.services.alarm("limits.runaway", limit=counter.name, key=fields.caller.key_id, session=x.session_id)
        told = refusal(denied)
        raise Limited(told.status, told.message, None, told.retry_after_s, told.should_retry, verdict=denied)

    def _warn(self, verdict: Admitted) -> str | None:
        warning = budget_warning(verdict)
        if warning is None:
            return None
        level, words = warning
        if self.reservations.once(f"budget:{level.counter.key}:{level.resets_ms}"):
            self.services.alarm("limits.budget", limit=level.counter.name, whose=level.counter.owner, used=words)
        return words

    def answer(self, x: Exchange) -> None:
        fields: LimiterFields | None = x.fields.get(self.name)
        response = x.flow.response
        if fields is None or response is None:
            return
        own = rate_headers(fields.verdict) if fields.verdict else []
        names = {name for name, _ in own}
        theirs = _OF_THE_ACCOUNT if self.settings.identity.mode == "keys" else ()
        if own or theirs:
            headers = response.headers  # one assignment: each by itself copies them all
            kept = [f for f in headers.fields if (k := f[0].lower()) not in names and not (theirs and k.startswith(theirs))]
            headers.fields = (*kept, *own)
        if fields.warning:
            response.headers["x-sluicegate-budget"] = fields.warning
        if fields.model:
            response.headers["x-sluicegate-model"] = fields.model.encode("ascii", "replace").decode()

    # -- what it has used
    def settle(self, x: Exchange) -> None:
        fields: LimiterFields | None = x.fields.get(self.name)
        if fields is None or not fields.open:
            return
        fields.open = False
        used = self.estimator.used(x, fields.counters, fields.caller.key_id, fields.reserved)
        if fields.batch and used and (x.call is None or (x.call.status or 0) < 400):
            self.reservations.settle(x.id, fields.batch)
            return
        counters = fields.counters
        if self.limits.providers and x.call and (provider := x.call.target.provider):
            own = (c for c in counters if not c.key.startswith("provider:"))
            counters = (*own, *self.rules.of_provider(provider))
        self.reservations.settle(x.id, charges(counters, used) if used else ())

    def report(self, x: Exchange) -> Mapping[str, object]:
        fields: LimiterFields | None = x.fields.get(self.name)
        return {"model_rule": fields.model_rule, "limit": fields.limit} if fields else {}


def _comes_free(denied: Denied, within_s: float) -> bool:
    """Whether waiting may help. A spent budget and a client in a loop are not waited for."""
    if denied.counter.name.startswith("limits.runaway."):
        return False
    return denied.available_ms is None or (denied.available_ms - denied.now_ms) / 1000 <= within_s


def _scope(counter: Counter) -> str:
    """`team:a` of `team:a:usd:day`."""
    return counter.key.rsplit(":", 2)[0]
