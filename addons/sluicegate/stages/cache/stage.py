"""Cache: answers what was asked before, and keeps what the provider answers. Steps aside where anything goes wrong.

It stands behind the Scrubber: it sees placeholders only, and what it replays goes through the Scrubber's restoring tap. The
look-up comes first; cache_control for the provider's own prompt cache is put in after it, so that the key knows nothing
of it. An answer is kept only whole, from the model that was asked, and with what it cost; a hit costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Final

from sluicegate.core.cachekey.cache_control import HEADER, Wishes, read_wishes
from sluicegate.core.cachekey.key import Bypass
from sluicegate.core.cachekey.names import NamesIn, names_of_answer
from sluicegate.core.errors import Refused
from sluicegate.core.formats.registry import format_of
from sluicegate.core.messages.usage import Usage
from sluicegate.core.redact.hide.placeholders import placeholders_in
from sluicegate.exchange.bodies import KeptBody
from sluicegate.exchange.cost import call_cost_usd
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.native_errors import native_response
from sluicegate.exchange.taps import Fate
from sluicegate.services.process_state import StateKey
from sluicegate.services.services import Services
from sluicegate.services.telemetry.log import log
from sluicegate.settings import Settings
from sluicegate.stages.base import Stage
from sluicegate.stages.cache.asked import (
    CacheHeaders,
    asked_of,
    snippet_of,
    take_headers,
    tenant,
)
from sluicegate.stages.cache.plan import CacheFields, Plans
from sluicegate.stages.cache.prompt_cache import (
    Sessions,
    inject,
    told,
    turn_of,
)
from sluicegate.stages.cache.replay import replay
from sluicegate.stages.cache.singleflight import Flight, Flights
from sluicegate.stages.cache.tee import Tee, may_keep
from sluicegate.stores.cache import place_of
from sluicegate.stores.cache.base import (
    Entry,
    Head,
    Limits,
    Totals,
)
from sluicegate.stores.cache.client import Shelf
from sluicegate.stores.cache.sealing import Sealing

__all__ = ["Cache"]

_SHELVES: Final = StateKey[Shelf]("cache.shelves")
_FLIGHTS: Final = StateKey[Flights]("cache.flights")
_SESSIONS: Final = StateKey[Sessions]("cache.sessions")

_HIT = {"normalized": "HIT-NORM", "suffix": "HIT-SUFFIX"}
_NOT_CACHED = "no answer to this request is cached, and only a cached one was asked for"


class Cache(Stage):
    name: ClassVar[str] = "cache"
    fate: ClassVar[Fate] = "aside"
    finders: list[NamesIn]
    """How placeholders are found in a text, where requests have some."""

    def __init__(self, settings: Settings, services: Services) -> None:
        super().__init__(settings, services)
        own = settings.cache
        self.plans = Plans(settings)
        self.prices = services.prices_for(settings)
        self.sealing = Sealing(own.encrypt_key.resolve(services.environ) if own.encrypt_key else None)
        self.sessions = services.state.get(_SESSIONS, Sessions)
        self.shelf = self._shelf() if self.plans.any_cache else None
        self.reads_answers = self.shelf is not None
        self.flights = services.state.get(_FLIGHTS, Flights)
        services.stats.followers = self.flights.followers
        self.finders = [placeholders_in] if settings.scrub.mode == "pseudonymize" else []
        if self.plans.any_suffix:
            log.warning("cache.suffix", why="answers are replayed to conversations that only end alike")

    def _shelf(self) -> Shelf:
        own = self.settings.cache
        limits = Limits(own.max_entries, own.max_bytes)
        place = place_of(self.settings.store, self.settings.state_dir)
        shelf = self.services.state.get(_SHELVES, lambda: Shelf(place, limits, self.services.alarm), place)
        shelf.limit(limits)
        self.services.stats.saved_all_time = lambda: _plain(shelf.all_time())
        return shelf

    @classmethod
    def idle(cls, settings: Settings) -> bool:
        return not Plans.any_used(settings)

    # -- the request
    def request(self, x: Exchange) -> Awaitable[None] | None:
        if not self.plans.any_watch or not x.inference or x.facts is None:
            return None
        plan = self.plans.plan(x.facts.model or "")
        x.fields[self.name] = fields = CacheFields(plan)
        if plan.keys is None or self.shelf is None:
            inject(x, plan)
            return None
        headers = take_headers(x)
        wishes = read_wishes(headers.cache_control, headers.own)
        if not (wishes.look or wishes.store) or not self._set_keys(x, fields, headers):
            x.cache_status = "BYPASS"
            inject(x, plan)
            return None
        fields.store = wishes.store
        keys = [key for _, key in fields.look]
        known = self.shelf.peek(keys if wishes.look else ())
        if known is None:
            return self._look(x, fields, keys, wishes)
        return self._found(x, fields, None if known == "nothing" else known, wishes)

    def _set_keys(self, x: Exchange, fields: CacheFields, headers: CacheHeaders) -> bool:
        """False: the cache has nothing to do with this request."""
        plan = fields.plan
        assert plan.keys
        if headers.encoded:
            return False
        origin = "" if self.plans.routed(x.door, x.origin[1]) else "{1}:{2}".format(*x.origin)
        keys = plan.keys.keys(asked_of(x, plan.model, headers, origin))
        if isinstance(keys, Bypass):
            return False
        fields.exact, fields.look = keys.exact, keys.look
        return True

    async def _look(self, x: Exchange, fields: CacheFields, keys: list[str], wishes: Wishes) -> None:
        assert self.shelf
        if rest := self._found(x, fields, await self.shelf.find(keys if wishes.look else ()), wishes):
            await rest

    def _found(self, x: Exchange, fields: CacheFields, found: Entry | None, wishes: Wishes) -> Awaitable[None] | None:
        entry = self.sealing.open(found) if found else None
        if entry and self._fits(x, entry, wishes):
            self._hit(x, fields, entry)
            return None
        return self._missed(x, fields, wishes)

    def _fits(self, x: Exchange, entry: Entry, wishes: Wishes) -> bool:
        if wishes.max_age_s is not None and time.time() - entry.created > wishes.max_age_s:
            return False
        if not entry.head.names:
            return True
        return self._names(x) >= set(entry.head.names)

    def _names(self, x: Exchange) -> frozenset[str]:
        """The placeholders in a request."""
        return self._names_in((x.request.data.content or b"").decode("utf-8", "replace")) if self.finders else frozenset()

    def _names_in(self, text: str) -> frozenset[str]:
        return frozenset().union(*(find(text) for find in self.finders))

    def _hit(self, x: Exchange, fields: CacheFields, entry: Entry) -> None:
        assert self.shelf
        tier = next(tier for tier, key in fields.look if key == entry.key)
        x.cache_status = "HIT" if tier == "exact" or fields.exact == entry.head.exact else _HIT[tier]
        fields.hit, fields.store = entry, False
        x.answer, x.source = replay(entry, self.settings.cache.pace)
        x.kept_body = KeptBody()
        x.kept_body.add(entry.body)
        self.shelf.used(entry.key, fields.saved_tokens, fields.saved_usd or 0.0)

    def _missed(self, x: Exchange, fields: CacheFields, wishes: Wishes) -> Awaitable[None] | None:
        assert self.shelf
        if wishes.only_if_cached:
            x.cache_status = "REFUSED"
            x.ending.refused(_NOT_CACHED)
            x.answer = native_response(504, _NOT_CACHED, exchange_id=x.id, fields=[(b"x-should-retry", b"false")])
            return None
        if wishes.look and self.settings.cache.coalesce and self.shelf.on:
            flight, leads = self.flights.join(fields.exact, x, self._names(x))
            if not leads:
                return self._follow(x, fields, flight)
            fields.flight = x.life.shared = flight
        if self.shelf.usable:
            x.cache_status = "MISS"
        else:
            x.cache_status, fields.store = "BYPASS", False
        if fields.store or fields.flight:
            x.request.headers["accept-encoding"] = "identity"  # what is kept or shared must do for every client
        inject(x, fields.plan)
        return None

    async def _follow(self, x: Exchange, fields: CacheFields, flight: Flight) -> None:
        """Somebody asks the same at this moment: wait for that call's answer, and listen to it."""
        x.cache_status, fields.store, fields.following = "HIT-COALESCED", False, flight
        boarded = await flight.board(x, x.ping_s if x.facts and x.facts.stream else 0)
        if boarded:
            x.answer, x.source = boarded
            fields.boarded = x.source

    # -- the answer
    def answer(self, x: Exchange) -> None:
        response = x.flow.response
        fields: CacheFields | None = x.fields.get(self.name)
        if response is None or fields is None or x.cache_status is None:
            return
        if x.ending.outcome == "refused":
            x.cache_status = "REFUSED"
        response.headers[HEADER] = x.cache_status
        if fields.flight and x.answer is None:
            fields.flight.begin(response)
            x.taps.observe(fields.flight.write, name="flight", fate="aside")
        if fields.store and x.answer is None and may_keep(response, fields.plan.model, x):
            fields.tee = tee = Tee(
                response, x.routing.call.reader if x.routing.call else None, self.settings.cache.max_entry
            )
            x.taps.observe(tee.feed, name=self.name, done=tee.end, fate="aside")

    # -- the end
    def settle(self, x: Exchange) -> None:
        fields: CacheFields | None = x.fields.get(self.name)
        if fields is None:
            return
        if fields.flight:
            self._land(x, fields, fields.flight)
        elif fields.following:
            fields.following.leave(fields.boarded)
        elif x.format.answers:
            self._watch(x, fields)
        if self.shelf is None:
            return
        if self.settings.cache.snippet and x.cache_status:
            fields.snippet = snippet_of(x.request.data.content or b"")
        tee = fields.tee
        if tee and x.answered_whole and tee.whole(fields.plan.model, x.facts):
            self._keep(x, fields, tee)

    def report(self, x: Exchange) -> Mapping[str, object]:
        fields: CacheFields | None = x.fields.get(self.name)
        report: dict[str, object] = {"cache": x.cache_status}
        if fields is None:
            return report
        report["prompt_cache_fall"] = fields.fall
        if fields.snippet:
            report["snippet"] = fields.snippet
        if fields.is_free:
            saved_usd = fields.saved_usd
            report |= {"cost_usd": 0.0, "saved_tokens": fields.saved_tokens}
            report["saved_usd"] = None if saved_usd is None else round(saved_usd, 8)
        if fields.hit:
            report |= _replayed(fields.hit.head)
        return report

    def _land(self, x: Exchange, fields: CacheFields, flight: Flight) -> None:
        """The call is over: those who listen get their end, and what they saved."""
        if x.format.answers:
            self._watch(x, fields)
        facts = x.routing.call.facts if x.routing.call else None
        if facts and facts.usage.known:
            usage = facts.usage
            flight.saved_tokens = usage.total_input() + usage.output_tokens
            flight.saved_usd = call_cost_usd(x, self.settings, self.prices)
        self.flights.landed(fields.exact, flight)
        failed = None
        if not x.answered_whole:
            status = x.status if x.ending.is_own and x.status else 502
            failed = Refused(status, x.ending.error or "the call that this one waited for failed")
        elif x.answer is not None:  # another stage's word to the leader, which it may have for the others, too
            failed = Refused(x.status or 500, x.ending.error or "the call that this one waited for was refused")
        flight.end(failed)

    def _watch(self, x: Exchange, fields: CacheFields) -> None:
        """See whether the provider still had in its prompt cache what the request before left there."""
        facts = x.routing.call.facts if x.routing.call and x.status == 200 else None
        turn = turn_of(x, facts.usage, facts.model or fields.plan.model) if facts else None
        if facts is None or turn is None:
            return
        found = self.sessions.next(x.session_id, x.agent_id, tenant(x), turn)
        if found:
            fields.fall = told(found, self._price_of(x, found.lost_tokens, turn.model), quote=self.settings.cache.snippet)
            self.services.stats.add_fall({"exchange": x.id, "session": x.session_id, "at": x.started_at, **fields.fall})

    def _price_of(self, x: Exchange, lost: int, model: str) -> float | None:
        """What it costs to write so many tokens anew instead of reading them."""
        source = self.settings.kind_of(x.routing.target.provider if x.routing.target else "").price_source
        write = self.prices.cost_usd(Usage(cache_write_5m_tokens=lost, known=True), model, source)
        read = self.prices.cost_usd(Usage(cache_read_tokens=lost, known=True), model, source)
        return None if write is None or read is None else write - read

    def _keep(self, x: Exchange, fields: CacheFields, tee: Tee) -> None:
        assert self.shelf
        facts, usage = tee.facts, tee.facts.usage
        provider = x.routing.target.provider if x.routing.target else ""
        body = tee.body
        names = tuple(sorted(self._names_in(names_of_answer(body, stream=facts.stream)))) if self.finders else ()
        head = Head(
            model=facts.model or fields.plan.model,
            surface=x.surface,
            stream=facts.stream,
            headers=tee.headers,
            exact=fields.exact,
            tokens=(
                usage.input_tokens,
                usage.output_tokens,
                usage.cache_read_tokens,
                usage.cache_write_5m_tokens,
                usage.cache_write_1h_tokens,
            ),
            cost_usd=self.prices.cost_usd(usage, facts.model or "", self.settings.kind_of(provider).price_source)
            if usage.known
            else None,
            stop_reason=facts.stop_reason,
            tools=tuple(facts.tools),
            timing=tee.timing,
            names=names,
            snippet=fields.snippet,
        )
        now = time.time()
        entries = [Entry(key, now, now + fields.plan.ttl_s, head, body) for _, key in fields.look]
        self.shelf.keep(*map(self.sealing.seal, entries))


def _replayed(head: Head) -> dict[str, object]:
    """What a stored answer says of itself. It used no tokens this time."""
    used = 0 if format_of(head.surface).answers else None
    return {
        "model_served": head.model,
        "stream": head.stream,
        "input_tokens": used,
        "output_tokens": used,
        "cache_read_tokens": used,
        "cache_write_5m_tokens": used,
        "cache_write_1h_tokens": used,
        "stop_reason": head.stop_reason,
        "tools": list(head.tools),
    }


def _plain(totals: Totals | None) -> dict[str, Any] | None:
    return None if totals is None else {**asdict(totals), "saved_usd": round(totals.saved_usd, 6)}
