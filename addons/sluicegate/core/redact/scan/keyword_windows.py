"""Where in a long text a rule is tried: around its keywords, not from end to end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sluicegate.core.redact.rules.rule import Span

__all__ = ["NEAR", "is_near", "keyword_windows"]

NEAR: Final = 64
"""Bytes that may lie between a keyword and what it is about."""

_CALL: Final = 1000
"""What one more search costs, in bytes of searching."""


def keyword_windows(data: bytes, keywords: Sequence[bytes], reach: int) -> Sequence[Span]:
    """Disjoint ranges, in order, that hold all within `reach` bytes of a keyword. All of the text where that is cheaper."""
    lower = data.lower()
    most = len(data) // (2 * reach + _CALL) + 1
    spans: list[Span] = []
    for keyword in keywords:
        at = lower.find(keyword)
        while at >= 0:
            if len(spans) > most:
                return ((0, len(data)),)
            spans.append((max(0, at - reach), min(len(data), at + len(keyword) + reach)))
            at = lower.find(keyword, at + len(keyword))
    return _merged(spans)


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for low, high in sorted(spans):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged


def is_near(data: bytes, start: int, end: int, keywords: Sequence[bytes]) -> bool:
    """Whether a match has a keyword in it or close to it."""
    around = data[max(0, start - NEAR) : end + NEAR].lower()
    return any(keyword in around for keyword in keywords)
