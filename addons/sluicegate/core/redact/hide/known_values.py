"""Where in a text something is to be hidden: what is known of a conversation's values is looked for in all of its texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from sluicegate.core.redact.hide.multi_string_search import MultiStringSearch, compile_bytes, search_texts
from sluicegate.core.redact.hide.placeholders import LITERAL, Grammar
from sluicegate.core.redact.hide.spellings import spellings
from sluicegate.core.redact.scan.finding import Tier

__all__ = ["HiddenSpan", "KnownValueScanner", "merge_spans"]

_MEMO: Final = 131_072
_MEMO_SPANS: Final = 262_144
_MOST_SWEEPS: Final = 8
"""For so many turns with new values; then one is made of them all."""
_MOST_KNOWN: Final = 256
_MOST_NEEDLES: Final = 100_000
"""Of all that is known, about a kilobyte each."""
_MAX_SWEPT: Final = 1000
"""Identifiers that are looked for in other spellings; beyond that (a list of customers) the finder's own finds must do."""
_BOUNDED: Final = 16
"""Characters: a value shorter than this is swept for as a whole word only."""


@dataclass(frozen=True, slots=True)
class HiddenSpan:
    start: int
    end: int
    kind: str
    tier: Tier


Values = Mapping[str, tuple[str, Tier]]
"""What was found: value → type and tier."""


@dataclass(frozen=True, slots=True)
class _Known:
    """Values that were swept for before, by all values up to the last of them, in their order."""

    count: int
    sweeps: tuple[MultiStringSearch, ...]
    """One for each time that values came to be known; together they find all."""
    needles: int
    identifiers: int


_NOTHING: Final = _Known(0, (), 0, 0)


class KnownValueScanner:
    """Finds known values in all their spellings, and what has a placeholder's shape.

    Remembers where that was in a text, not what: a text is known by its hash. From turn to turn a conversation's texts are
    the same but for the last, and its values are those of before and then some: old texts are swept for new values alone,
    and what looks for the old ones is made once.
    """

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self._shape = compile_bytes(grammar.shape)
        self._memo: dict[tuple[int, int], tuple[HiddenSpan, ...]] = {}
        self._held = 0
        """Spans in the memo."""
        self._known: dict[int, _Known] = {}
        self._needles = 0
        """In all that is known."""

    def spans(self, texts: Sequence[str], values: Values) -> Iterator[tuple[str, tuple[HiddenSpan, ...]]]:
        """The texts in which there is something, and where."""
        chain = list(accumulate(values.items(), lambda so_far, item: hash((so_far, item)), initial=0))
        before, last = self._longest(chain), chain[-1]
        known = self._grown(self._known.get(chain[before], _NOTHING), list(values.items()))
        self._remember(last, known)
        old: list[str] = []
        new: list[str] = []
        for text in texts:
            if (hash(text), last) not in self._memo:
                (old if (hash(text), chain[before]) in self._memo else new).append(text)
        if old:
            earlier = [list(self._memo[hash(text), chain[before]]) for text in old]
            self._keep(old, last, self._look(old, known.sweeps[-1:], earlier))
        if new:
            shaped: list[list[HiddenSpan]] = [[] for _ in new]
            for at, _, start, end, first in search_texts(self._shape, new):  # ASCII: as many characters as bytes
                shaped[at].append(HiddenSpan(first, first + end - start, LITERAL, "secret"))
            self._keep(new, last, self._look(new, known.sweeps, shaped))
        for text in texts:
            if spans := self._memo[hash(text), last]:
                yield text, spans
        while self._memo and (len(self._memo) > _MEMO or self._held > _MEMO_SPANS):
            self._held -= len(self._memo.pop(next(iter(self._memo))))

    def _longest(self, chain: Sequence[int]) -> int:
        """How many of the first values were all that was known once."""
        return next((n for n in range(len(chain) - 1, 0, -1) if chain[n] in self._known), 0)

    def _grown(self, known: _Known, items: Sequence[tuple[str, tuple[str, Tier]]]) -> _Known:
        """With the values that are new."""
        if known.count == len(items):
            return known
        added = self._added(items[known.count :], known.identifiers)
        identifiers = sum(what[1] == "identifier" for _, what in items)
        if len(known.sweeps) < _MOST_SWEEPS:
            return _Known(len(items), (*known.sweeps, MultiStringSearch(added)), known.needles + len(added), identifiers)
        whole = self._added(items, 0)
        # what looks for all of them, and, last, what old texts have not been looked at for
        return _Known(
            len(items), (MultiStringSearch(whole), MultiStringSearch(added)), len(whole) + len(added), identifiers
        )

    def _added(self, items: Sequence[tuple[str, tuple[str, Tier]]], identifiers: int) -> dict[str, tuple[str, Tier]]:
        needles: dict[str, tuple[str, Tier]] = {}
        for value, what in items:
            identifiers += what[1] == "identifier"
            if what[1] == "identifier" and identifiers > _MAX_SWEPT:
                continue
            for spelling in sorted(spellings(value)):
                needles.setdefault(spelling, what)
        return needles

    def _look(
        self, texts: Sequence[str], sweeps: Sequence[MultiStringSearch], found: list[list[HiddenSpan]]
    ) -> list[list[HiddenSpan]]:
        for sweep in sweeps:
            for at, start, end, (kind, tier) in sweep.find(texts):
                if end - start >= _BOUNDED or _stands_alone(texts[at], start, end):
                    found[at].append(HiddenSpan(start, end, kind, tier))
        return found

    def _keep(self, texts: Sequence[str], known: int, found: Sequence[Sequence[HiddenSpan]]) -> None:
        for text, spans in zip(texts, found, strict=True):
            self._memo[hash(text), known] = tuple(dict.fromkeys(spans))
            self._held += len(self._memo[hash(text), known])

    def _remember(self, last: int, known: _Known) -> None:
        """The last to be forgotten."""
        if before := self._known.pop(last, None):
            self._needles -= before.needles
        self._known[last] = known
        self._needles += known.needles
        while len(self._known) > _MOST_KNOWN or (self._needles > _MOST_NEEDLES and len(self._known) > 1):
            self._needles -= self._known.pop(next(iter(self._known))).needles


def merge_spans(text: str, spans: list[HiddenSpan], grammar: Grammar) -> list[HiddenSpan]:
    """Spans that do not overlap and cover all that the given ones cover, in order."""
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
