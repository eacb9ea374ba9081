"""Sliding windows around keywords: a rule searches these parts of a long text instead of all of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sluicegate.core.redact.rules.rule import Span

__all__ = ["NEAR", "is_near", "keyword_windows"]

NEAR: Final = 64
"""Bytes that may lie between a keyword and the value it announces."""

_CALL: Final = 1000
"""The fixed cost of a search, in bytes searched."""


def keyword_windows(data: bytes, keywords: Sequence[bytes], reach: int) -> Sequence[Span]:
    """Disjoint ranges, in order, that cover `reach` bytes around each keyword; the whole text if that is cheaper."""
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
    """Whether a keyword lies in the match or close to it."""
    around = data[max(0, start - NEAR) : end + NEAR].lower()
    return any(keyword in around for keyword in keywords)
