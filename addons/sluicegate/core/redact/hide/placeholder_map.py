"""The placeholders of one request: what restores its values in the answer."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from sluicegate.core.redact.hide.placeholders import Grammar

__all__ = ["PlaceholderMap"]


class PlaceholderMap:
    """Name → value. Of a value that was shown with line numbers, also the span that its LINES mark replaced."""

    __slots__ = ("_sorted", "grammar", "units", "values")

    def __init__(
        self, grammar: Grammar, values: Mapping[str, str], units: Mapping[str, tuple[str, str]] | None = None
    ) -> None:
        self.grammar = grammar
        self.values = values
        self.units = units or {}
        """LINES name → (the text that was sent instead of the span, the span)."""
        self._sorted: list[str] | None = None

    def __bool__(self) -> bool:
        return bool(self.values)

    def has_name_starting_with(self, prefix: str) -> bool:
        if self._sorted is None:
            self._sorted = sorted(self.values)
        at = bisect_left(self._sorted, prefix)
        return at < len(self._sorted) and self._sorted[at].startswith(prefix)
