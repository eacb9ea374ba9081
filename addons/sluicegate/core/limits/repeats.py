"""Repeats: how often the same request has come in quick succession, which shows an agent program in a loop."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

__all__ = ["MANY", "Repeats"]

MANY: Final = 20
"""From this number on a succession is a loop: a client's retries of one request are fewer, and pause between them."""
_GAP_S: Final = 2.0
"""The longest pause within a succession."""
_KNOWN: Final = 2_000


class Repeats:
    """The latest requests, by what identifies the caller and the body."""

    def __init__(self) -> None:
        self._latest: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def add(self, request: Hashable, now_s: float) -> int:
        """Count a request: the length of its succession so far, 1 for the first."""
        last_s, count = self._latest.pop(request, (now_s, 0))
        count = count + 1 if now_s - last_s <= _GAP_S else 1
        self._latest[request] = now_s, count
        if len(self._latest) > _KNOWN:
            self._latest.popitem(last=False)
        return count
