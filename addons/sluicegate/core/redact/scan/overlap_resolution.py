"""Overlap resolution: turns overlapping matches into disjoint ones that cover every matched byte.

Basic detectors win in order of priority; among the other rules the longest match wins, then the leftmost. The part of a
match that lies outside the winner (the password after an e-mail address, say) remains a match of its own.
"""

from __future__ import annotations

import re
from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Final

from sluicegate.core.redact.rules.rule import LOWEST_PRIORITY, Span
from sluicegate.core.redact.scan.engine import Match

__all__ = ["resolve_overlaps"]

_SUBSTANCE: Final = re.compile(rb"[0-9A-Za-z\x80-\xff]{2}")
"""A remaining part counts if it is more than punctuation or a single character."""


def resolve_overlaps(matches: Sequence[Match], data: bytes) -> list[Match]:
    """Disjoint matches in text order that cover what the given ones cover."""
    out: list[Match] = []
    touching: list[Match] = []
    end = 0
    for match in sorted(matches, key=_start):
        if match.start > end and touching:
            out += touching if len(touching) == 1 else _claimed(touching, data)
            touching = []
        touching.append(match)
        end = max(end, match.end)
    return out + (touching if len(touching) <= 1 else _claimed(touching, data))


def _claimed(matches: Sequence[Match], data: bytes) -> list[Match]:
    """Resolve a group of matches that overlap each other, or lie side by side."""
    claims: list[Match] = []
    ends: list[int] = []
    """The ends of the claims, for binary search."""
    slivers: list[Match] = []
    for match in sorted(matches, key=_order):
        parts = list(_free(match, claims, ends))
        whole = len(parts) == 1 and parts[0] == (match.start, match.end)
        for start, end in parts:
            if whole or _SUBSTANCE.search(data, start, end):
                insort(claims, Match(start, end, match.rule), key=_end)
                insort(ends, end)
            else:
                slivers.append(Match(start, end, match.rule))
    if len(slivers) > 1:
        for run in _runs(slivers, claims, ends):
            if _SUBSTANCE.search(data, run.start, run.end):
                insort(claims, run, key=_end)
    return claims


def _runs(slivers: Sequence[Match], claims: Sequence[Match], ends: Sequence[int]) -> list[Match]:
    """What is left of the parts that do not count by themselves, put together where they lie side by side.

    A run has the rule of its first part in the text.
    """
    runs: list[Match] = []
    for sliver in sorted(slivers, key=_start):
        for start, end in _free(sliver, claims, ends):
            if runs and start <= runs[-1].end:
                runs[-1] = Match(runs[-1].start, max(end, runs[-1].end), runs[-1].rule)
            else:
                runs.append(Match(start, end, sliver.rule))
    return runs


_start, _end = attrgetter("start"), attrgetter("end")


def _order(match: Match) -> tuple[int, int, int]:
    length = match.end - match.start
    return match.rule.priority, -length if match.rule.priority == LOWEST_PRIORITY else 0, match.start


def _free(match: Match, claims: Sequence[Match], ends: Sequence[int]) -> Iterator[Span]:
    """The unclaimed parts of a match."""
    at = match.start
    for index in range(bisect_right(ends, at), len(claims)):  # a slice would copy the rest of the list
        claim = claims[index]
        if claim.start >= match.end:
            break
        if claim.start > at:
            yield at, claim.start
        at = max(at, claim.end)
    if at < match.end:
        yield at, match.end
