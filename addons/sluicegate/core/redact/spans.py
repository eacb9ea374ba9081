"""Where in a text something is to be hidden: what is known of a conversation's values is looked for in all of its texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from sluicegate.core.redact.finding import Tier
from sluicegate.core.redact.placeholders import LITERAL, Grammar
from sluicegate.core.redact.spellings import spellings
from sluicegate.core.redact.sweep import Sweep, compiled, stretches

__all__ = ["Span", "Sweeper", "disjoint"]

_MEMO: Final = 131_072
_MAX_SWEPT: Final = 1000
"""Identifiers that are looked for in other spellings; beyond that (a list of customers) the finder's own finds must do."""
_BOUNDED: Final = 16
"""Characters: a value shorter than this is swept for as a whole word only."""


@dataclass(frozen=True, slots=True)
class Span:
    start: int
    end: int
    kind: str
    tier: Tier


Values = Mapping[str, tuple[str, Tier]]
"""What was found: value → type and tier."""


class Sweeper:
    """Finds known values in all their spellings, and what has a placeholder's shape.

    Remembers where that was in a text, not what: a text is known by its hash. From turn to turn a conversation's texts
    are the same but for the last.
    """

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self._shape = compiled(grammar.shape)
        self._memo: dict[tuple[int, int], tuple[Span, ...]] = {}

    def spans(self, texts: Sequence[str], values: Values) -> Iterator[tuple[str, tuple[Span, ...]]]:
        """The texts in which there is something, and where."""
        known = hash(frozenset(values.items()))
        keys = [(hash(text), known) for text in texts]
        new = [(key, text) for key, text in zip(keys, texts, strict=True) if key not in self._memo]
        if new:
            found = self._look([text for _, text in new], values)
            for at, (key, _) in enumerate(new):
                self._memo[key] = tuple(found.get(at, ()))
        for key, text in zip(keys, texts, strict=True):
            if spans := self._memo[key]:
                yield text, spans
        for key in list(islice(self._memo, max(0, len(self._memo) - _MEMO))):
            del self._memo[key]

    def _look(self, texts: Sequence[str], values: Values) -> dict[int, list[Span]]:
        found: dict[int, list[Span]] = {}
        for at, _, start, end, first in stretches(self._shape, texts):  # ASCII: as many characters as bytes
            found.setdefault(at, []).append(Span(first, first + end - start, LITERAL, "secret"))
        needles: dict[str, tuple[str, Tier]] = {}
        identifiers = 0
        for value, what in values.items():
            identifiers += what[1] == "identifier"
            if what[1] == "identifier" and identifiers > _MAX_SWEPT:
                continue
            for spelling in sorted(spellings(value)):
                needles.setdefault(spelling, what)
        for at, start, end, (kind, tier) in Sweep(needles).find(texts):
            if end - start >= _BOUNDED or _stands_alone(texts[at], start, end):
                found.setdefault(at, []).append(Span(start, end, kind, tier))
        return found


def disjoint(text: str, spans: list[Span], grammar: Grammar) -> list[Span]:
    """Spans that do not overlap and cover all that the given ones cover, in order."""
    out: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start, -s.end, s.kind == LITERAL)):
        span = Span(grammar.start_of(text, span.start), span.end, span.kind, span.tier)
        while out and span.start < out[-1].end:
            before = out.pop()
            wider = before if (before.kind != LITERAL or span.kind == LITERAL) else span
            span = Span(min(before.start, span.start), max(before.end, span.end), wider.kind, wider.tier)
        out.append(span)
    return out


def _stands_alone(text: str, start: int, end: int) -> bool:
    return not (text[start - 1 : start].isalnum() and start) and not text[end : end + 1].isalnum()
