"""A rule: when it runs, what it matches, which part of a match is the value, and how a match is validated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import re2

__all__ = [
    "LOWEST_PRIORITY",
    "Hit",
    "PatternError",
    "Rule",
    "Span",
    "Tier",
    "Validator",
    "compile_pattern",
    "pattern_fault",
    "re2_options",
    "type_name",
]

LOWEST_PRIORITY: Final = 100
"""Of every rule outside the basic detectors: among these the longer match wins."""

_MEMORY: Final = 2 << 20
"""Bytes that RE2 may use for the program and the automaton of one pattern: bounds hundreds of rules on hostile text."""
_MEMORY_LARGE: Final = 16 << 20
"""For large programs: with less memory, RE2 would rebuild their automaton again and again."""
_LARGE: Final = 500
_MAX_PATTERN: Final = 20_000

type Span = tuple[int, int]
"""Start and end, in bytes."""

Tier = Literal["secret", "identifier"]
"""secret: a credential, hidden as `<TYPE_N>`; identifier: a fact about a person, hidden as `<TYPE_HMAC:XXXXXXXX>`."""


class PatternError(ValueError):
    """RE2 rejects the pattern."""


class Hit(NamedTuple):
    """One match, as offsets into the text's UTF-8 bytes."""

    data: bytes
    start: int
    end: int
    value_start: int
    """Where the value lies within the match."""
    value_end: int

    @property
    def value(self) -> bytes:
        return self.data[self.value_start : self.value_end]


type Validator = Callable[[Hit], Span | None]
"""Decides on a match: the span to hide, which may be wider or narrower than the value; None rejects the match."""


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    type: str
    tier: Tier
    pattern: str
    keywords: tuple[str, ...] = ()
    """Lower case. The rule runs on texts with one of them; without keywords, on texts that the prefilter matches."""
    prefilter: str | None = None
    """A cheap pattern that every matching text matches. Default: the keywords, or the pattern itself."""
    near_keyword: bool = False
    """A match counts only if a keyword is close to it."""
    group: int = 0
    """The capturing group with the value. 0: the first group that matched at least `min_length` bytes, else the match."""
    min_length: int = 1
    entropy: float = 0.0
    """Bits per byte that a value must exceed. For display only: `validate` enforces it."""
    priority: int = LOWEST_PRIORITY
    """Where matches overlap, the lower number wins."""
    validate: Validator | None = None


def compile_pattern(pattern: str, limit: int | None = _MAX_PATTERN) -> Any:
    """The pattern, compiled to match bytes: as Latin-1 if it is ASCII, else as UTF-8. Raises PatternError."""
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
    raise PatternError(words or "is not a regular expression")


def re2_options(pattern: str, memory: int) -> Any:
    found = re2.Options()
    found.log_errors = False
    found.max_mem = memory
    if pattern.isascii():
        found.encoding = re2.Options.Encoding.LATIN1
    return found


def pattern_fault(pattern: str) -> str | None:
    """Why a configured pattern cannot be used; None if it can."""
    try:
        empty = compile_pattern(pattern).search(b"")
    except PatternError as error:
        return f"not a regular expression in RE2 syntax: {error}"
    return "matches the empty string; require at least one character" if empty is not None else None


def type_name(name: str) -> str:
    """The placeholder type for a rule name: A-Z, 0-9 and `_`, starting with a letter, at most 40 characters."""
    upper = "".join(c if c.isascii() and c.isalnum() else "_" for c in name.upper()).strip("_")
    return (upper if upper[:1].isalpha() else f"X_{upper}")[:40].rstrip("_")
