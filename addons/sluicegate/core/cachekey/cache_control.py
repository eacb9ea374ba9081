"""What a client says of the cache: Cache-Control (RFC 9111, 5.2.1) and `x-sluicegate-cache`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["HEADER", "Wishes", "read_wishes"]

HEADER: Final = "x-sluicegate-cache"
"""In a request: bypass, refresh or only-if-cached. In an answer: what the cache did."""

_MAX_AGE: Final = re.compile(r"max-age=\"?(\d{1,9})\"?")


@dataclass(frozen=True, slots=True)
class Wishes:
    look: bool = True
    """An entry will do."""
    store: bool = True
    only_if_cached: bool = False
    max_age_s: float | None = None
    """An entry that is older will not do."""


_NONE: Final = Wishes()


def read_wishes(cache_control: str, own: str) -> Wishes:
    """Read the two headers. The gate's own goes first; words that it does not know are ignored."""
    if not cache_control and not own:
        return _NONE
    words = {w.strip().lower() for w in cache_control.split(",")}
    match own.strip().lower():
        case "bypass":
            return Wishes(look=False, store=False)
        case "refresh":
            return Wishes(look=False)
        case "only-if-cached":
            return Wishes(only_if_cached=True)
    if "no-store" in words:
        return Wishes(look=False, store=False)
    ages = [float(m[1]) for w in words if (m := _MAX_AGE.fullmatch(w))]
    only = "only-if-cached" in words
    if "no-cache" in words or 0.0 in ages:
        return Wishes(look=only, store=not only, only_if_cached=only, max_age_s=0.0 if only else None)
    return Wishes(only_if_cached=only, max_age_s=min(ages, default=None))
