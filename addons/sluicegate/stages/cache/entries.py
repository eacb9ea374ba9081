"""Cache entries: made from a recorded answer, and checked against a request before they are replayed."""

from __future__ import annotations

import time

from sluicegate.core.cachekey.answer_text import FindPlaceholders, answer_text
from sluicegate.core.cachekey.cache_control import CacheDirectives
from sluicegate.core.pricing.prices import Prices
from sluicegate.exchange.exchange import Exchange
from sluicegate.settings import Settings
from sluicegate.stages.cache.fields import CacheFields
from sluicegate.stages.cache.tee import Tee
from sluicegate.stores.cache.base import Entry, Head

__all__ = ["Placeholders", "entries_of", "fits"]


class Placeholders:
    """Finds the scrubber's placeholders; without finders (no pseudonymization) there are none."""

    def __init__(self, *finders: FindPlaceholders) -> None:
        self.finders = finders

    def in_request(self, x: Exchange) -> frozenset[str]:
        return self._in((x.request.data.content or b"").decode("utf-8", "replace")) if self.finders else frozenset()

    def in_answer(self, body: bytes, *, stream: bool) -> frozenset[str]:
        return self._in(answer_text(body, stream=stream)) if self.finders else frozenset()

    def _in(self, text: str) -> frozenset[str]:
        return frozenset().union(*(find(text) for find in self.finders))


def fits(x: Exchange, entry: Entry, directives: CacheDirectives, placeholders: Placeholders) -> bool:
    """Whether an entry may answer this request: not too old for it, and without placeholders that it does not have."""
    if directives.max_age_s is not None and time.time() - entry.created > directives.max_age_s:
        return False
    return not entry.head.names or placeholders.in_request(x) >= set(entry.head.names)


def entries_of(
    x: Exchange, fields: CacheFields, tee: Tee, placeholders: Placeholders, prices: Prices, settings: Settings
) -> list[Entry]:
    """A recorded answer as an entry under each of the request's keys."""
    facts, usage, body = tee.facts, tee.facts.usage, tee.body
    source = settings.kind_of(x.routing.target.provider if x.routing.target else "").price_source
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
        cost_usd=prices.cost_usd(usage, facts.model or "", source) if usage.known else None,
        stop_reason=facts.stop_reason,
        tools=tuple(facts.tools),
        timing=tee.timing,
        names=tuple(sorted(placeholders.in_answer(body, stream=facts.stream))),
        snippet=fields.snippet,
    )
    now = time.time()
    return [Entry(key, now, now + fields.plan.ttl_s, head, body) for _, key in fields.lookup_keys]
