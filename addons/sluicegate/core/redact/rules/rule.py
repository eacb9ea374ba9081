"""What a rule is: when it is tried, what it matches, which part of a match is the value, and who has the last word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import re2

from sluicegate.core.redact.scan.finding import Tier

__all__ = [
    "AFTER_BASIC",
    "Hit",
    "Judge",
    "PatternError",
    "Rule",
    "Span",
    "compile_pattern",
    "pattern_fault",
    "re2_options",
    "type_name",
]

AFTER_BASIC: Final = 100
"""The rank of every rule that is none of the basic ones: among these the longer match wins."""

_MEMORY: Final = 2 << 20
"""Bytes that RE2 may take for one pattern's program and automaton: hundreds of rules on hostile text stay within bounds."""
_MEMORY_LARGE: Final = 16 << 20
"""For large programs, which would have to make their automaton anew all the time."""
_LARGE: Final = 500
_MAX_PATTERN: Final = 20_000

type Span = tuple[int, int]


class PatternError(ValueError):
    """A pattern that RE2 does not take."""


class Hit(NamedTuple):
    """One match, as offsets into the text's UTF-8 bytes."""

    data: bytes
    start: int
    end: int
    first: int
    """Where the value starts and ends within the match."""
    last: int

    @property
    def value(self) -> bytes:
        return self.data[self.first : self.last]


type Judge = Callable[[Hit], Span | None]
"""The last word on a match: what to hide, which may be more or less than the value; None for nothing."""


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    type: str
    tier: Tier
    pattern: str
    keywords: tuple[str, ...] = ()
    """Lower case. The rule is tried where a text has one of them; without any, where its pattern matches somewhere."""
    trigger: str | None = None
    """What to look for first, where the pattern itself would make that costly; without it the keywords or the pattern."""
    near: bool = False
    """A match counts only close to a keyword."""
    group: int = 0
    """The capturing group that is the value; 0 for the first that took part and is long enough, else the whole match."""
    shortest_group: int = 1
    entropy: float = 0.0
    """Bits per byte that a value must have more of, for those who explain a finding: the judge sees to it."""
    rank: int = AFTER_BASIC
    """Lower ranks claim their text first."""
    judge: Judge | None = None


def compile_pattern(pattern: str, limit: int | None = _MAX_PATTERN) -> Any:
    """The pattern for matching bytes. PatternError where RE2 does not take it.

    ASCII patterns see bytes (RE2's Latin-1), others see UTF-8.
    """
    if limit is not None and len(pattern) > limit:
        raise PatternError(f"is longer than {limit} characters")
    try:
        source = pattern.encode()
    except UnicodeEncodeError:
        raise PatternError("is not valid Unicode") from None
    fault = b""
    for memory in (_MEMORY, _MEMORY_LARGE):
        try:
            found = re2.compile(source, re2_options(pattern, memory))
        except re2.error as error:
            fault = error.args[0] if error.args else b""
            continue
        if found.programsize <= _LARGE or memory == _MEMORY_LARGE:
            return found
    words = fault.decode(errors="replace") if isinstance(fault, bytes) else str(fault)
    raise PatternError(words or "is no regular expression")


def re2_options(pattern: str, memory: int) -> Any:
    found = re2.Options()
    found.log_errors = False
    found.max_mem = memory
    if pattern.isascii():
        found.encoding = re2.Options.Encoding.LATIN1
    return found


def pattern_fault(pattern: str) -> str | None:
    """Why a pattern of the configuration cannot be used; None where it can."""
    try:
        empty = compile_pattern(pattern).search(b"")
    except PatternError as error:
        return f"not a regular expression in RE2's syntax: {error}"
    return "matches the empty text; ask for at least one character" if empty is not None else None


def type_name(name: str) -> str:
    """A placeholder's type for a rule's name: A-Z, 0-9 and `_`, beginning with a letter, at most 40 characters."""
    upper = "".join(c if c.isascii() and c.isalnum() else "_" for c in name.upper()).strip("_")
    return (upper if upper[:1].isalpha() else f"X_{upper}")[:40].rstrip("_")
