"""A request's directives for the cache: Cache-Control (RFC 9111, 5.2.1) and `x-sluicegate-cache`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["HEADER", "CacheDirectives", "read_directives"]

HEADER: Final = "x-sluicegate-cache"
"""In a request: bypass, refresh or only-if-cached. In an answer: the cache status."""

_MAX_AGE: Final = re.compile(r"max-age=\"?(\d{1,9})\"?")


@dataclass(frozen=True, slots=True)
class CacheDirectives:
    lookup: bool = True
    """A cached answer is acceptable."""
    store: bool = True
    only_if_cached: bool = False
    max_age_s: float | None = None
    """An older entry is not acceptable."""


_DEFAULT: Final = CacheDirectives()


def read_directives(cache_control: str, sluicegate_cache: str) -> CacheDirectives:
    """Parse the two headers. `x-sluicegate-cache` takes precedence; unknown directives are ignored."""
    if not cache_control and not sluicegate_cache:
        return _DEFAULT
    directives = {w.strip().lower() for w in cache_control.split(",")}
    match sluicegate_cache.strip().lower():
        case "bypass":
            return CacheDirectives(lookup=False, store=False)
        case "refresh":
            return CacheDirectives(lookup=False)
        case "only-if-cached":
            return CacheDirectives(only_if_cached=True)
    if "no-store" in directives:
        return CacheDirectives(lookup=False, store=False)
    ages = [float(m[1]) for d in directives if (m := _MAX_AGE.fullmatch(d))]
    only = "only-if-cached" in directives
    if "no-cache" in directives or 0.0 in ages:
        return CacheDirectives(lookup=only, store=not only, only_if_cached=only, max_age_s=0.0 if only else None)
    return CacheDirectives(only_if_cached=only, max_age_s=min(ages, default=None))
