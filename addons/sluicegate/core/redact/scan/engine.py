"""Runs rules over one text: one automaton says which rules to try, and these are tried near their keywords.

RE2 throughout: its time is linear in the text, whatever the pattern. One pass of a single automaton (RE2's Set: all
keywords, and the patterns of rules that have none or very short ones) tells which rules a text concerns; most texts end
there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import re2

from sluicegate.core.redact.rules.regex_tree import Unknown, longest, parse
from sluicegate.core.redact.rules.rule import (
    Hit,
    PatternError,
    Rule,
    Span,
    compile_pattern,
    re2_options,
)
from sluicegate.core.redact.scan.escaped_text import TRIGGER, unescaped_views
from sluicegate.core.redact.scan.keyword_windows import NEAR, is_near, keyword_windows

__all__ = ["Engine", "Match"]

_GATE_MEMORY: Final = 32 << 20
_SHORT_KEYWORD: Final = 3
"""Shorter ones ("sk", "s.", "ey") are in every text: the rule's pattern itself goes into the gate instead."""
_SMALL_TEXT: Final = 4096
"""Bytes up to which looking for keywords costs more than it saves."""
_MAX_REACH: Final = 2048
_MAX_PROGRAM: Final = 1_000_000
"""Instructions of all patterns together; the built-in rules have some 100,000."""
_TOO_LARGE: Final = "are too large all together; leave some out, or give them keywords"
_CANARY: Final = b"\x00the gate works\x00"


class Match(NamedTuple):
    """What a rule would hide, in bytes."""

    start: int
    end: int
    rule: Rule


@dataclass(slots=True)
class _Ready:
    """A rule with its compiled pattern."""

    rule: Rule
    search: Any
    groups: Sequence[int]
    """Which may be the value, in the order in which they are asked."""
    keywords: tuple[bytes, ...]
    size: int
    reach: int | None
    """The most bytes a match can have; None where windows would be no help."""


class Engine:
    """Not for several threads at once only in its counters; matching itself shares nothing that changes."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """PatternError where a pattern is none that RE2 takes, or all together are too large."""
        self._rules = [_ready(rule) for rule in rules]
        if sum(ready.size for ready in self._rules) > _MAX_PROGRAM:
            raise PatternError(_TOO_LARGE)
        self._gate, self._of_gate, self._escaped = _gate(rules)
        self._always = frozenset(range(len(rules))) - frozenset(self._of_gate)
        self.calls = 0
        """Searches so far, and the bytes that they were given: what a text cost, apart from any clock."""
        self.scanned = 0

    def scan(self, data: bytes) -> list[Match]:
        """Every match of every rule, also where it is written with escapes; they may overlap. `data`: UTF-8 bytes."""
        hits = self._hits(data)
        found = self._matches(data, hits)
        if self._escaped in hits:
            found += set(self._escaped_matches(data)).difference(found)
        return found

    def _escaped_matches(self, data: bytes) -> Iterator[Match]:
        for view in unescaped_views(data):
            for match in self._matches(view.plain, self._hits(view.plain)):
                if (span := view.original(match.start, match.end)) is not None:
                    yield Match(*span, match.rule)

    def _hits(self, data: bytes) -> Sequence[int]:
        self.calls += 1
        self.scanned += len(data)
        return self._gate.Match(data) or ()

    def _matches(self, data: bytes, hits: Sequence[int]) -> list[Match]:
        if not hits and not self._always:
            return []
        found: list[Match] = []
        for index in sorted({self._of_gate[hit] for hit in hits if hit < len(self._of_gate)} | self._always):
            ready = self._rules[index]
            found += (Match(start, end, ready.rule) for start, end in self._spans(ready, data))
        return found

    def _spans(self, ready: _Ready, data: bytes) -> Iterator[Span]:
        for low, high in self._regions(ready, data):
            at = low
            while at < high:
                self.calls += 1
                match = ready.search(data, at, high)
                if match is None:
                    self.scanned += high - at
                    break
                self.scanned += match.end() - at
                span, at = _judged(ready, match, data)
                if span is not None:
                    yield span

    def _regions(self, ready: _Ready, data: bytes) -> Sequence[Span]:
        if ready.reach is None or len(data) <= _SMALL_TEXT:
            return ((0, len(data)),)
        return keyword_windows(data, ready.keywords, ready.reach + NEAR)


def _judged(ready: _Ready, match: Any, data: bytes) -> tuple[Span | None, int]:
    """What of a match is to be hidden, and where to go on."""
    rule, (start, end) = ready.rule, match.span()
    first, last = _value(ready, match)
    span = (first, last) if rule.judge is None else rule.judge(Hit(data, start, end, first, last))
    if span is None or span[0] >= span[1] or (rule.near and not is_near(data, start, end, ready.keywords)):
        # there may be another keyword in what is no value
        return None, max(first if first > start else last, start + 1)
    # from the value's end, not the match's: the space behind it may be the one before the next
    return span, max(last, span[1], start + 1)


def _value(ready: _Ready, match: Any) -> Span:
    """Where the value is: the rule's group, or the first that took part and is long enough, or all of the match."""
    for group in ready.groups:
        first, last = match.span(group)
        if last - first >= ready.rule.shortest_group:
            return first, last
    return match.span()  # type: ignore[no-any-return]


def _ready(rule: Rule) -> _Ready:
    keywords = tuple(k.encode() for k in rule.keywords)
    found = compile_pattern(rule.pattern)
    groups = (rule.group,) if rule.group else tuple(range(1, found.groups + 1))
    return _Ready(rule, found.search, groups, keywords, found.programsize, _reach(rule) if keywords else None)


def _reach(rule: Rule) -> int | None:
    try:
        found = longest(parse(rule.pattern))
    except (Unknown, ValueError):
        return None
    width = 1 if rule.pattern.isascii() else 4
    return found * width if found is not None and found * width <= _MAX_REACH else None


def _gate(rules: Sequence[Rule]) -> tuple[Any, list[int], int]:
    """The automaton, for each of its patterns the rule that it stands for, and the pattern that stands for escapes."""
    gate = re2.Set.SearchSet(re2_options("", _GATE_MEMORY))
    of_gate: list[int] = []
    for index, rule in enumerate(rules):
        for pattern in _triggers(rule):
            gate.Add(pattern)
            of_gate.append(index)
    escaped = gate.Add(TRIGGER.encode("ascii"))  # these two stand for no rule
    canary = gate.Add(re2.escape(_CANARY))
    try:
        gate.Compile()
    except re2.error:
        raise PatternError(_TOO_LARGE) from None
    if canary not in (gate.Match(_CANARY) or ()):  # RE2 says nothing where its memory does not do: it finds nothing
        raise PatternError(_TOO_LARGE)
    return gate, of_gate, escaped


def _triggers(rule: Rule) -> tuple[bytes, ...]:
    """The gate sees bytes: a pattern with other characters than ASCII is tried on every text."""
    if rule.trigger is not None:
        return (rule.trigger.encode(),)
    if rule.keywords and min(map(len, rule.keywords)) >= _SHORT_KEYWORD:
        return tuple(b"(?i)" + re2.escape(k.encode()) for k in rule.keywords)
    return (rule.pattern.encode(),) if rule.pattern.isascii() else ()
