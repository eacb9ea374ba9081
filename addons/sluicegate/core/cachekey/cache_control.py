"""A request's directives for the cache: Cache-Control (RFC 9111, 5.2.1), `x-sluicegate-cache`, whether it is a retry."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

__all__ = ["HEADER", "RETRY_HEADERS", "CacheDirectives", "is_retry", "read_directives"]

HEADER: Final = "x-sluicegate-cache"
"""In a request: bypass, refresh or only-if-cached. In an answer: the cache status."""

RETRY_HEADERS: Final = {
    b"x-stainless-retry-count": re.compile(rb"\s*0*[1-9]\d*\s*"),
    b"amz-sdk-request": re.compile(rb"(?:.*[;\s])?attempt\s*=\s*(?:0*[1-9]\d+|0*[2-9])\b.*", re.DOTALL),
}
"""A header by which a client says how often it has tried → what it holds in a retry.

The first is sent by the SDKs of Anthropic and OpenAI (0 at the first attempt), the second by those of AWS (attempt=1).
"""

_MAX_HEADER: Final = 200
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


def is_retry(name: bytes, value: bytes) -> bool:
    """Whether this header (its name in lower case) says that the request is a retry."""
    expected = RETRY_HEADERS.get(name)
    return expected is not None and expected.fullmatch(value[:_MAX_HEADER]) is not None


def read_directives(cache_control: str, sluicegate_cache: str, *, retry: bool = False) -> CacheDirectives:
    """Parse the two headers. `x-sluicegate-cache` takes precedence; unknown directives are ignored.

    A retry gets a new answer, which replaces the cached one: its client may have failed because of that one. Only a request
    that forbids a new answer is an exception.
    """
    found = _read(cache_control, sluicegate_cache)
    return replace(found, lookup=False) if retry and not found.only_if_cached else found


def _read(cache_control: str, sluicegate_cache: str) -> CacheDirectives:
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
