"""Cache: answers repeated requests, shares identical calls, and looks after the provider's prompt cache.

It stands behind the Scrubber: it sees placeholders only, and the Scrubber's tap restores the values in what it replays. The
lookup comes first; markers for the provider's prompt cache are added after it, so the key does not depend on them. Only a
whole answer from the requested model is stored, together with its cost; a hit costs nothing. When something fails, the
stage steps aside and the request goes upstream.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Final

from sluicegate.core.cachekey.cache_control import HEADER, CacheDirectives, read_directives
from sluicegate.core.cachekey.key import Bypass
from sluicegate.core.errors import Refused
from sluicegate.core.redact.hide.placeholders import placeholders_in
from sluicegate.exchange.bodies import KeptBody
from sluicegate.exchange.cost import call_cost_usd
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.native_errors import native_response
from sluicegate.exchange.slots import Slot
from sluicegate.exchange.taps import OnError
from sluicegate.services.process_state import StateKey
from sluicegate.services.services import Services
from sluicegate.services.telemetry.log import log
from sluicegate.settings import Settings
from sluicegate.stages.base import Stage
from sluicegate.stages.cache.entries import Placeholders, entries_of, fits
from sluicegate.stages.cache.fields import CacheFields
from sluicegate.stages.cache.plan import Plans
from sluicegate.stages.cache.prompt_cache import PreviousTurns, PromptCacheWatch, inject_markers
from sluicegate.stages.cache.replay import replay
from sluicegate.stages.cache.request import CacheHeaders, key_input_of, snippet_of, take_headers
from sluicegate.stages.cache.singleflight import SharedCall, Singleflight
from sluicegate.stages.cache.tee import Tee, is_storable
from sluicegate.stores.cache import cache_location
from sluicegate.stores.cache.base import (
    Entry,
    Limits,
    Totals,
)
from sluicegate.stores.cache.client import CacheClient
from sluicegate.stores.cache.encryption import BodyEncryption

__all__ = ["Cache"]

_FIELDS: Final = Slot[CacheFields]("cache")
_CLIENTS: Final = StateKey[CacheClient]("cache.clients")
_SINGLEFLIGHT: Final = StateKey[Singleflight]("cache.singleflight")
_TURNS: Final = StateKey[PreviousTurns]("cache.previous_turns")

_HIT = {"normalized": "HIT-NORM", "suffix": "HIT-SUFFIX"}
_NOT_CACHED = "only a cached answer was requested (only-if-cached), and none is cached"


class Cache(Stage):
    name: ClassVar[str] = "cache"
    on_error: ClassVar[OnError] = "skip"

    def __init__(self, settings: Settings, services: Services) -> None:
        super().__init__(settings, services)
        own = settings.cache
        self.plans = Plans(settings)
        self.prices = services.prices_for(settings)
        self.encryption = BodyEncryption(own.encrypt_key.resolve(services.environ) if own.encrypt_key else None)
        turns = services.state.get(_TURNS, PreviousTurns)
        self.prompt_cache = PromptCacheWatch(settings, self.prices, services.stats, turns)
        self.cache_client = self._open_client() if self.plans.uses_response_cache else None
        self.reads_answers = self.cache_client is not None
        self.singleflight = services.state.get(_SINGLEFLIGHT, Singleflight)
        services.stats.followers = self.singleflight.followers
        self.placeholders = Placeholders(placeholders_in) if settings.scrub.mode == "pseudonymize" else Placeholders()
        if self.plans.uses_suffix:
            log.warning("cache.suffix", why="conversations that only end alike get each other's answers")

    def _open_client(self) -> CacheClient:
        own = self.settings.cache
        limits = Limits(own.max_entries, own.max_bytes)
        location = cache_location(self.settings.store, self.settings.state_dir)
        client = self.services.state.get(_CLIENTS, lambda: CacheClient(location, limits, self.services.alarm), location)
        client.set_limits(limits)
        self.services.stats.saved_all_time = lambda: _as_dict(client.all_time())
        return client

    @classmethod
    def idle(cls, settings: Settings) -> bool:
        return not Plans.any_used(settings)

    # -- the request
    def request(self, x: Exchange) -> Awaitable[None] | None:
        if not self.plans.uses_any_cache or not x.inference or x.facts is None:
            return None
        plan = self.plans.plan(x.facts.model or "")
        fields = _FIELDS.set(x, CacheFields(plan))
        if plan.keys is None or self.cache_client is None:
            inject_markers(x, plan)
            return None
        headers = take_headers(x)
        directives = read_directives(headers.cache_control, headers.sluicegate_cache, retry=headers.retry)
        if not (directives.lookup or directives.store) or not self._set_keys(x, fields, headers):
            x.cache_status = "BYPASS"
            inject_markers(x, plan)
            return None
        fields.store = directives.store
        keys = [key for _, key in fields.lookup_keys] if directives.lookup else []
        known = self.cache_client.peek(keys)
        if known is None:
            return self._look_up(x, fields, keys, directives)
        return self._looked_up(x, fields, None if known == "miss" else known, directives)

    def _set_keys(self, x: Exchange, fields: CacheFields, headers: CacheHeaders) -> bool:
        """False if the request bypasses the cache."""
        plan = fields.plan
        assert plan.keys
        if headers.encoded:
            return False
        origin = "" if self.plans.routed(x.door, x.origin[1]) else "{1}:{2}".format(*x.origin)
        keys = plan.keys.keys(key_input_of(x, plan.model, headers, origin))
        if isinstance(keys, Bypass):
            return False
        fields.exact, fields.lookup_keys = keys.exact, keys.lookup
        return True

    async def _look_up(self, x: Exchange, fields: CacheFields, keys: list[str], directives: CacheDirectives) -> None:
        assert self.cache_client
        if waiting := self._looked_up(x, fields, await self.cache_client.find(keys), directives):
            await waiting

    def _looked_up(
        self, x: Exchange, fields: CacheFields, found: Entry | None, directives: CacheDirectives
    ) -> Awaitable[None] | None:
        entry = self.encryption.decrypt(found) if found else None
        if entry and fits(x, entry, directives, self.placeholders):
            self._hit(x, fields, entry)
            return None
        return self._miss(x, fields, directives)

    def _hit(self, x: Exchange, fields: CacheFields, entry: Entry) -> None:
        assert self.cache_client
        tier = next(tier for tier, key in fields.lookup_keys if key == entry.key)
        x.cache_status = "HIT" if tier == "exact" or fields.exact == entry.head.exact else _HIT[tier]
        fields.hit, fields.store = entry, False
        x.answer, x.source = replay(entry, self.settings.cache.pace)
        x.kept_body = KeptBody()
        x.kept_body.add(entry.body)
        self.cache_client.count_hit(entry.key, fields.saved_tokens, fields.saved_usd or 0.0)

    def _miss(self, x: Exchange, fields: CacheFields, directives: CacheDirectives) -> Awaitable[None] | None:
        assert self.cache_client
        if directives.only_if_cached:
            x.cache_status = "REFUSED"
            x.ending.refused(_NOT_CACHED)
            x.answer = native_response(504, _NOT_CACHED, exchange_id=x.id, fields=[(b"x-should-retry", b"false")])
            return None
        if directives.lookup and self.settings.cache.coalesce and self.cache_client.enabled:
            call, leads = self.singleflight.join(fields.exact, x, self.placeholders.in_request(x))
            if not leads:
                return self._follow(x, fields, call)
            fields.leading = x.life.shared = call
        if self.cache_client.usable:
            x.cache_status = "MISS"
        else:
            x.cache_status, fields.store = "BYPASS", False
        if fields.store or fields.leading:
            x.request.headers["accept-encoding"] = "identity"  # a stored or shared answer must suit every client
        inject_markers(x, fields.plan)
        return None

    async def _follow(self, x: Exchange, fields: CacheFields, call: SharedCall) -> None:
        """An identical call is under way: subscribe to its answer."""
        x.cache_status, fields.store, fields.following = "HIT-COALESCED", False, call
        subscribed = await call.subscribe(x, x.ping_s if x.facts and x.facts.stream else 0)
        if subscribed:
            x.answer, x.source = subscribed
            fields.subscription = x.source

    # -- the answer
    def answer(self, x: Exchange) -> None:
        response = x.flow.response
        fields = _FIELDS.find(x)
        if response is None or fields is None or x.cache_status is None:
            return
        if x.ending.outcome == "refused":
            x.cache_status = "REFUSED"
        response.headers[HEADER] = x.cache_status
        if fields.leading and x.answer is None:
            fields.leading.begin(response)
            x.taps.observe(fields.leading.write, name="singleflight", on_error="skip")
        if fields.store and x.answer is None and is_storable(response, fields.plan.model, x):
            fields.tee = tee = Tee(
                response, x.routing.call.reader if x.routing.call else None, self.settings.cache.max_entry
            )
            x.taps.observe(tee.feed, name=self.name, done=tee.end, on_error="skip")

    # -- the end
    def settle(self, x: Exchange) -> None:
        fields = _FIELDS.find(x)
        if fields is None:
            return
        if fields.leading:
            self._finish_shared_call(x, fields, fields.leading)
        if fields.following:
            fields.following.unsubscribe(fields.subscription)
        elif x.format.answers:
            fields.prompt_cache_miss = self.prompt_cache.observe(x, fields.plan.model)
        if self.cache_client is None:
            return
        if self.settings.cache.snippet and x.cache_status:
            fields.snippet = snippet_of(x.request.data.content or b"")
        tee = fields.tee
        if tee and x.answered_whole and tee.is_complete(fields.plan.model, x.facts):
            self._store(x, fields, tee)

    def report(self, x: Exchange) -> Mapping[str, object]:
        fields = _FIELDS.find(x)
        return {"cache": x.cache_status, **(fields.report() if fields else {})}

    def _finish_shared_call(self, x: Exchange, fields: CacheFields, call: SharedCall) -> None:
        """The leader's call has ended: its subscribers get the end of the answer, and what they saved."""
        facts = x.routing.call.facts if x.routing.call else None
        if facts and facts.usage.known:
            usage = facts.usage
            call.saved_tokens = usage.total_input() + usage.output_tokens
            call.saved_usd = call_cost_usd(x, self.settings, self.prices)
        self.singleflight.remove(fields.exact, call)
        failed = None
        if not x.answered_whole:
            status = x.status if x.ending.is_own and x.status else 502
            failed = Refused(status, x.ending.error or "the shared call failed")
        elif x.answer is not None:  # a stage behind this one answered the leader; that holds for subscribers, too
            failed = Refused(x.status or 500, x.ending.error or "the shared call was refused")
        call.finish(failed)

    def _store(self, x: Exchange, fields: CacheFields, tee: Tee) -> None:
        assert self.cache_client
        entries = entries_of(x, fields, tee, self.placeholders, self.prices, self.settings)
        self.cache_client.store(*map(self.encryption.encrypt, entries))


def _as_dict(totals: Totals | None) -> dict[str, Any] | None:
    return None if totals is None else {**asdict(totals), "saved_usd": round(totals.saved_usd, 6)}
