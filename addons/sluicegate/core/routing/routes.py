"""Model patterns and routes: the only place that decides whether a pattern covers a name.

In a pattern, `*` stands for any part of a name and `?` for one character. Everything else is literal, `[` too: clients ask
for models such as `claude-opus-5[1m]`. Upper and lower case differ on every system.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, Protocol

__all__ = ["HasPattern", "first_route", "is_literal", "matches", "matches_any"]

_MAX_COMPILED: Final = 4096


class HasPattern(Protocol):
    """A route, in whatever form."""

    @property
    def pattern(self) -> str: ...


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern covers a name. The empty name of a request without a readable model is covered by `*`, too."""
    return _compiled(pattern)(name) is not None


def matches_any(patterns: Iterable[str], name: str) -> bool:
    """Whether one of the patterns covers a name; False if there are none."""
    return any(matches(pattern, name) for pattern in patterns)


def is_literal(pattern: str) -> bool:
    """Whether a pattern covers exactly one name: the one that it spells."""
    return "*" not in pattern and "?" not in pattern


def first_route[R: HasPattern](routes: Iterable[R], model: str) -> R | None:
    """The route that serves a model: the first whose pattern covers it. None if no route does."""
    return next((route for route in routes if matches(route.pattern, model)), None)


@lru_cache(_MAX_COMPILED)
def _compiled(pattern: str) -> Callable[[str], re.Match[str] | None]:
    """Atomic groups: each part is taken where it first occurs, so that no name makes the search go back and forth."""
    first, *rest = (re.escape(part).replace(r"\?", ".") for part in pattern.split("*"))
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1])
    return re.compile(first + middle + (f".*{rest[-1]}" if rest else ""), re.DOTALL).fullmatch
