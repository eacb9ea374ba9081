"""Finds the known values of a conversation, in every spelling, in all of its texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from sluicegate.core.redact.hide.multi_string_search import MultiStringSearch, compile_bytes, search_texts
from sluicegate.core.redact.hide.placeholders import LITERAL, Grammar
from sluicegate.core.redact.hide.spellings import spellings
from sluicegate.core.redact.rules.rule import Tier

__all__ = ["HiddenSpan", "KnownValueScanner", "merge_spans"]

_CACHED_TEXTS: Final = 131_072
_CACHED_SPANS: Final = 262_144
_MAX_SEARCHES: Final = 8
"""Each turn with new values adds one; after this many, all are merged into one."""
_MAX_KNOWN: Final = 256
_MAX_NEEDLES: Final = 100_000
"""In all cached searches, about a kilobyte each."""
_MAX_IDENTIFIERS: Final = 1000
"""Identifiers that are searched for in other spellings. Of more (a customer list), only the findings are hidden."""
_WHOLE_WORD_BELOW: Final = 16
"""Characters: a shorter value is hidden as a whole word only."""


@dataclass(frozen=True, slots=True)
class HiddenSpan:
    start: int
    end: int
    kind: str
    tier: Tier


Values = Mapping[str, tuple[str, Tier]]
"""The values found: value → type and tier."""


@dataclass(frozen=True, slots=True)
class _Known:
    """The searches for the first `count` values of a conversation."""

    count: int
    searches: tuple[MultiStringSearch, ...]
    """One for each turn that added values; together they find all of them."""
    needles: int
    identifiers: int


_NOTHING: Final = _Known(0, (), 0, 0)


class KnownValueScanner:
    """Finds known values in all their spellings, and text that looks like a placeholder.

    Caches the positions per text, which it knows by its hash only. From turn to turn, a conversation repeats its texts but
    for the last, and adds values to those known before. So old texts are searched for new values only, and the search for
    the old values is built once.
    """

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self._shape = compile_bytes(grammar.shape)
        self._cache: dict[tuple[int, int], tuple[HiddenSpan, ...]] = {}
        self._held = 0
        """Spans in the cache."""
        self._known: dict[int, _Known] = {}
        self._needles = 0
        """In all searches."""

    def spans(self, texts: Sequence[str], values: Values) -> Iterator[tuple[str, tuple[HiddenSpan, ...]]]:
        """The texts that contain something to hide, and the spans."""
        chain = list(accumulate(values.items(), lambda so_far, item: hash((so_far, item)), initial=0))
        before, last = self._longest(chain), chain[-1]
        known = self._grown(self._known.get(chain[before], _NOTHING), list(values.items()))
        self._remember(last, known)
        old: list[str] = []
        new: list[str] = []
        for text in texts:
            if (hash(text), last) not in self._cache:
                (old if (hash(text), chain[before]) in self._cache else new).append(text)
        if old:
            earlier = [list(self._cache[hash(text), chain[before]]) for text in old]
            self._keep(old, last, self._look(old, known.searches[-1:], earlier))
        if new:
            shaped: list[list[HiddenSpan]] = [[] for _ in new]
            for at, _, start, end, first in search_texts(self._shape, new):  # ASCII: one byte per character
                shaped[at].append(HiddenSpan(first, first + end - start, LITERAL, "secret"))
            self._keep(new, last, self._look(new, known.searches, shaped))
        for text in texts:
            if spans := self._cache[hash(text), last]:
                yield text, spans
        while self._cache and (len(self._cache) > _CACHED_TEXTS or self._held > _CACHED_SPANS):
            self._held -= len(self._cache.pop(next(iter(self._cache))))

    def _longest(self, chain: Sequence[int]) -> int:
        """The length of the longest prefix of the values that is known."""
        return next((n for n in range(len(chain) - 1, 0, -1) if chain[n] in self._known), 0)

    def _grown(self, known: _Known, items: Sequence[tuple[str, tuple[str, Tier]]]) -> _Known:
        """Extended by the new values."""
        if known.count == len(items):
            return known
        added = self._added(items[known.count :], known.identifiers)
        identifiers = sum(what[1] == "identifier" for _, what in items)
        if len(known.searches) < _MAX_SEARCHES:
            return _Known(len(items), (*known.searches, MultiStringSearch(added)), known.needles + len(added), identifiers)
        whole = self._added(items, 0)
        # one for all values, and, last, one for the values that old texts were not searched for
        return _Known(
            len(items), (MultiStringSearch(whole), MultiStringSearch(added)), len(whole) + len(added), identifiers
        )

    def _added(self, items: Sequence[tuple[str, tuple[str, Tier]]], identifiers: int) -> dict[str, tuple[str, Tier]]:
        needles: dict[str, tuple[str, Tier]] = {}
        for value, what in items:
            identifiers += what[1] == "identifier"
            if what[1] == "identifier" and identifiers > _MAX_IDENTIFIERS:
                continue
            for spelling in sorted(spellings(value)):
                needles.setdefault(spelling, what)
        return needles

    def _look(
        self, texts: Sequence[str], searches: Sequence[MultiStringSearch], found: list[list[HiddenSpan]]
    ) -> list[list[HiddenSpan]]:
        for search in searches:
            for at, start, end, (kind, tier) in search.find(texts):
                if end - start >= _WHOLE_WORD_BELOW or _stands_alone(texts[at], start, end):
                    found[at].append(HiddenSpan(start, end, kind, tier))
        return found

    def _keep(self, texts: Sequence[str], known: int, found: Sequence[Sequence[HiddenSpan]]) -> None:
        for text, spans in zip(texts, found, strict=True):
            self._cache[hash(text), known] = tuple(dict.fromkeys(spans))
            self._held += len(self._cache[hash(text), known])

    def _remember(self, last: int, known: _Known) -> None:
        """Store as most recently used; evict the oldest."""
        if before := self._known.pop(last, None):
            self._needles -= before.needles
        self._known[last] = known
        self._needles += known.needles
        while len(self._known) > _MAX_KNOWN or (self._needles > _MAX_NEEDLES and len(self._known) > 1):
            self._needles -= self._known.pop(next(iter(self._known))).needles


def merge_spans(text: str, spans: list[HiddenSpan], grammar: Grammar) -> list[HiddenSpan]:
    """Disjoint spans, in order, that cover what the given ones cover."""
    out: list[HiddenSpan] = []
    for span in sorted(spans, key=lambda s: (s.start, -s.end, s.kind == LITERAL)):
        span = HiddenSpan(grammar.start_of(text, span.start), span.end, span.kind, span.tier)
        while out and span.start < out[-1].end:
            before = out.pop()
            wider = before if (before.kind != LITERAL or span.kind == LITERAL) else span
            span = HiddenSpan(min(before.start, span.start), max(before.end, span.end), wider.kind, wider.tier)
        out.append(span)
    return out


def _stands_alone(text: str, start: int, end: int) -> bool:
    return not (text[start - 1 : start].isalnum() and start) and not text[end : end + 1].isalnum()
