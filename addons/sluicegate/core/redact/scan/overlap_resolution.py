"""Overlapping matches become findings that do not overlap, and nothing that any rule matched is left out.

Basic detectors claim their text first, in their order; of the other rules the longest match, then the leftmost. What a
later match has beyond an earlier claim (the password after an e-mail address, say) remains a finding of its own.
"""

from __future__ import annotations

import re
from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Final

from sluicegate.core.redact.rules.rule import AFTER_BASIC, Span
from sluicegate.core.redact.scan.engine import Match

__all__ = ["resolve_overlaps"]

_SUBSTANCE: Final = re.compile(rb"[0-9A-Za-z\x80-\xff]{2}")
"""What remains of a match counts if it is more than punctuation or a single character."""


def resolve_overlaps(matches: Sequence[Match], data: bytes) -> list[Match]:
    """Disjoint matches in the order of the text, covering what the given ones cover."""
    out: list[Match] = []
    touching: list[Match] = []
    end = 0
    for match in sorted(matches, key=_start):
        if match.start >= end and touching:
            out += touching if len(touching) == 1 else _claimed(touching, data)
            touching = []
        touching.append(match)
        end = max(end, match.end)
    return out + (touching if len(touching) <= 1 else _claimed(touching, data))


def _claimed(matches: Sequence[Match], data: bytes) -> list[Match]:
    """Of matches that overlap each other."""
    claims: list[Match] = []
    ends: list[int] = []
    """The ends of the claims: with them the neighbours of a span are found without a look at all claims."""
    for match in sorted(matches, key=_order):
        parts = list(_free(match, claims, ends))
        whole = len(parts) == 1 and parts[0] == (match.start, match.end)
        for start, end in parts:
            if whole or _SUBSTANCE.search(data, start, end):
                insort(claims, Match(start, end, match.rule), key=_end)
                insort(ends, end)
    return claims


_start, _end = attrgetter("start"), attrgetter("end")


def _order(match: Match) -> tuple[int, int, int]:
    length = match.end - match.start
    return match.rule.rank, -length if match.rule.rank == AFTER_BASIC else 0, match.start


def _free(match: Match, claims: Sequence[Match], ends: Sequence[int]) -> Iterator[Span]:
    """The parts of a match that nobody has claimed."""
    at = match.start
    for index in range(bisect_right(ends, at), len(claims)):  # a slice would copy all that comes after
        claim = claims[index]
        if claim.start >= match.end:
            break
        if claim.start > at:
            yield at, claim.start
        at = max(at, claim.end)
    if at < match.end:
        yield at, match.end
