"""Model patterns and routes: the only place that decides whether a pattern covers a model.

Patterns are shell patterns, compared by case on every system: `*`, `?` and `[...]`.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Protocol

__all__ = ["HasPattern", "first_route", "matches", "matches_any"]


class HasPattern(Protocol):
    """A route, in whatever form."""

    @property
    def pattern(self) -> str: ...


def matches(pattern: str, model: str) -> bool:
    """Whether a pattern covers a model. The empty name of a request without a readable model is covered by `*`, too."""
    return fnmatchcase(model, pattern)


def matches_any(patterns: Iterable[str], model: str) -> bool:
    """Whether one of the patterns covers a model; False if there are none."""
    return any(fnmatchcase(model, pattern) for pattern in patterns)


def first_route[R: HasPattern](routes: Iterable[R], model: str) -> R | None:
    """The route that serves a model: the first whose pattern covers it. None if no route does."""
    return next((route for route in routes if fnmatchcase(model, route.pattern)), None)
