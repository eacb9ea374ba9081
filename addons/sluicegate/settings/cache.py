"""Sections `cache` and `routes[].cache`."""

from typing import Annotated, Literal

from msgspec import Meta, field

from sluicegate.settings.reading.scalars import (
    Bytes,
    Count,
    Regex,
    Seconds,
    Section,
)
from sluicegate.settings.secret import Secret


class Strip(Section, frozen=True, kw_only=True):
    """Text that is left out of the cache key."""

    system: tuple[Regex, ...] = ()
    messages: tuple[Regex, ...] = ()


CacheMode = Literal["off", "exact", "normalized", "suffix"]
Inject = Literal["off", "auto", "always"]
CacheTtl = Literal["5m", "1h"]


class PromptCache(Section, frozen=True, kw_only=True):
    """auto: where the client sets no breakpoints of its own and the prompt is long enough; always: short ones, too."""

    inject: Inject = "off"
    ttl: CacheTtl = "5m"


class Cache(Section, frozen=True, kw_only=True):
    mode: CacheMode = "off"
    ttl: Seconds = 604_800.0
    max_entries: Count = 10_000
    max_bytes: Bytes = 1_000_000_000
    max_entry: Bytes = 8_000_000  # a longer answer is not kept
    strip: Strip = field(default_factory=Strip)
    suffix_messages: Count = 3
    coalesce: bool = True
    pace: Annotated[float, Meta(ge=0, le=10, description="a factor from 0 to 10")] = 0.0  # 1: as slowly as recorded
    snippet: bool = False  # 80 characters of the prompt, as the scrubber left it, in /monitor and lists
    encrypt_key: Secret | None = None  # bodies are kept encrypted
    prompt_cache: PromptCache = field(default_factory=PromptCache)


class RoutePromptCache(Section, frozen=True, kw_only=True):
    """What one route has otherwise than `cache.prompt_cache`."""

    inject: Inject | None = None
    ttl: CacheTtl | None = None


class RouteCache(Section, frozen=True, kw_only=True):
    """What one route has otherwise than `cache`."""

    mode: CacheMode | None = None
    ttl: Seconds | None = None
    prompt_cache: RoutePromptCache = field(default_factory=RoutePromptCache)
