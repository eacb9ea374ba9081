"""Runs rules over one text: a prefilter selects the rules to run, and these search near their keywords.

All matching is RE2, whose time is linear in the text for any pattern. The prefilter is a single automaton (RE2's Set) of
all keywords, and of the patterns of rules whose keywords are missing or very short. Most texts need no further search.
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

_PREFILTER_MEMORY: Final = 32 << 20
_SHORT_KEYWORD: Final = 3
"""Shorter ones ("sk", "s.", "ey") occur in every text: the pattern of the rule goes into the prefilter instead."""
_SMALL_TEXT: Final = 4096
"""Up to this many bytes, a search for keywords costs more than it saves."""
_MAX_REACH: Final = 2048
_MAX_PROGRAM: Final = 1_000_000
"""RE2 instructions of all patterns together; the built-in rules have about 100,000."""
_TOO_LARGE: Final = "are too large in total; remove some, or give them keywords"
_CANARY: Final = b"\x00the prefilter works\x00"


class Match(NamedTuple):
    """The span that a rule hides, in bytes."""

    start: int
    end: int
    rule: Rule


@dataclass(slots=True)
class _CompiledRule:
    rule: Rule
    search: Any
    groups: Sequence[int]
    """Groups that may hold the value, in order."""
    keywords: tuple[bytes, ...]
    size: int
    reach: int | None
    """The maximum length of a match in bytes; None if unbounded or too long for windows."""


class Engine:
    """Thread-safe except for its counters."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Raises PatternError if RE2 rejects a pattern, or if they are too large in total."""
        self._rules = [_compile(rule) for rule in rules]
        if sum(compiled.size for compiled in self._rules) > _MAX_PROGRAM:
            raise PatternError(_TOO_LARGE)
        self._prefilter, self._rule_of, self._escaped = _prefilter(rules)
        self._always = frozenset(range(len(rules))) - frozenset(self._rule_of)
        self.calls = 0
        """Searches so far, and the bytes searched: the cost of a text, independent of any clock."""
        self.scanned = 0

    def scan(self, data: bytes) -> list[Match]:
        """Every match of every rule, including values written with escapes; matches may overlap. `data`: UTF-8 bytes."""
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
        return self._prefilter.Match(data) or ()

    def _matches(self, data: bytes, hits: Sequence[int]) -> list[Match]:
        if not hits and not self._always:
            return []
        found: list[Match] = []
        for index in sorted({self._rule_of[hit] for hit in hits if hit < len(self._rule_of)} | self._always):
            compiled = self._rules[index]
            found += (Match(start, end, compiled.rule) for start, end in self._spans(compiled, data))
        return found

    def _spans(self, compiled: _CompiledRule, data: bytes) -> Iterator[Span]:
        for low, high in self._regions(compiled, data):
            at = low
            while at < high:
                self.calls += 1
                match = compiled.search(data, at, high)
                if match is None:
                    self.scanned += high - at
                    break
                self.scanned += match.end() - at
                span, at = _validated(compiled, match, data)
                if span is not None:
                    yield span

    def _regions(self, compiled: _CompiledRule, data: bytes) -> Sequence[Span]:
        if compiled.reach is None or len(data) <= _SMALL_TEXT:
            return ((0, len(data)),)
        return keyword_windows(data, compiled.keywords, compiled.reach + NEAR)


def _validated(compiled: _CompiledRule, match: Any, data: bytes) -> tuple[Span | None, int]:
    """The span of a match to hide, and where to continue the search."""
    rule, (start, end) = compiled.rule, match.span()
    first, last = _value(compiled, match)
    span = (first, last) if rule.validate is None else rule.validate(Hit(data, start, end, first, last))
    if span is None or span[0] >= span[1] or (rule.near_keyword and not is_near(data, start, end, compiled.keywords)):
        # the rejected value may contain another keyword
        return None, max(first if first > start else last, start + 1)
    # from the end of the value, not of the match: the character after it may be the one before the next value
    return span, max(last, span[1], start + 1)


def _value(compiled: _CompiledRule, match: Any) -> Span:
    """The span of the value: the rule's group, or the first group that matched and is long enough, or the whole match."""
    for group in compiled.groups:
        first, last = match.span(group)
        if last - first >= compiled.rule.min_length:
            return first, last
    return match.span()  # type: ignore[no-any-return]


def _compile(rule: Rule) -> _CompiledRule:
    keywords = tuple(k.encode() for k in rule.keywords)
    found = compile_pattern(rule.pattern)
    groups = (rule.group,) if rule.group else tuple(range(1, found.groups + 1))
    return _CompiledRule(rule, found.search, groups, keywords, found.programsize, _reach(rule) if keywords else None)


def _reach(rule: Rule) -> int | None:
    try:
        found = longest(parse(rule.pattern))
    except (Unknown, ValueError):
        return None
    width = 1 if rule.pattern.isascii() else 4
    return found * width if found is not None and found * width <= _MAX_REACH else None


def _prefilter(rules: Sequence[Rule]) -> tuple[Any, list[int], int]:
    """The automaton, the rule index of each of its patterns, and the index of the pattern for escapes."""
    prefilter = re2.Set.SearchSet(re2_options("", _PREFILTER_MEMORY))
    rule_of: list[int] = []
    for index, rule in enumerate(rules):
        for pattern in _prefilters(rule):
            prefilter.Add(pattern)
            rule_of.append(index)
    escaped = prefilter.Add(TRIGGER.encode("ascii"))  # this one and the canary belong to no rule
    canary = prefilter.Add(re2.escape(_CANARY))
    try:
        prefilter.Compile()
    except re2.error:
        raise PatternError(_TOO_LARGE) from None
    if canary not in (prefilter.Match(_CANARY) or ()):  # short of memory, RE2 reports no error: it just matches nothing
        raise PatternError(_TOO_LARGE)
    return prefilter, rule_of, escaped


def _prefilters(rule: Rule) -> tuple[bytes, ...]:
    """The prefilter sees bytes: a pattern with non-ASCII characters runs on every text."""
    if rule.prefilter is not None:
        return (rule.prefilter.encode(),)
    if rule.keywords and min(map(len, rule.keywords)) >= _SHORT_KEYWORD:
        return tuple(b"(?i)" + re2.escape(k.encode()) for k in rule.keywords)
    return (rule.pattern.encode(),) if rule.pattern.isascii() else ()
