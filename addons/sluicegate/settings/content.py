"""What happens to the contents of calls: hiding, caching, translating, recording."""

from typing import Annotated, Literal

from msgspec import Meta, field

from .scalars import Bytes, Count, HostPattern, Ledger, LogTarget, Name, PricePerMillion, Ruleset, Seconds, Section
from .secret import Secret

Regex = Annotated[str, Meta(min_length=1, max_length=1000, description="a regular expression")]


class Restore(Section, frozen=True, kw_only=True):
    """Tool inputs in which the model's placeholders become values again; `*` in a name stands for any part."""

    tools: dict[str, bool | Literal["no-egress"]] = field(default_factory=dict)
    allow_hosts: tuple[HostPattern, ...] = ()  # where a tool that is `no-egress` may send to all the same


class Scrub(Section, frozen=True, kw_only=True):
    mode: Literal["off", "detect", "pseudonymize", "block"] = "off"
    key: Secret | None = None
    rules: Annotated[tuple[Ruleset, ...], Meta(min_length=1)] = ("basic",)
    style: Literal["angle", "plain"] = "angle"
    numbering: Literal["ranked", "hmac"] = "ranked"
    max_body: Bytes = 32_000_000  # a larger one is refused, not passed on unread
    restore: Restore = field(default_factory=Restore)
    pii: Annotated[tuple[Literal["email", "phone", "iban", "card", "ip", "ssn"], ...], Meta(min_length=1)] = (
        "email",
        "phone",
        "iban",
        "card",
    )  # what the rule set `pii` looks for
    patterns: dict[Name, Regex] = field(default_factory=dict)  # own rules: the placeholder's name, what it stands for


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


class Translate(Section, frozen=True, kw_only=True):
    unsupported: Literal["refuse", "drop"] = "refuse"


class Audit(Section, frozen=True, kw_only=True):
    log: LogTarget = "stdout"
    format: Literal["json", "line"] = "json"
    ledger: Ledger = "sqlite"
    strict: bool = False  # true: no call without its record


class Price(Section, frozen=True, kw_only=True):
    """US dollars per million tokens; a cache price that is not given is derived from `input`."""

    input: PricePerMillion
    output: PricePerMillion
    cache_read: PricePerMillion | None = None
    cache_write_5m: PricePerMillion | None = None
    cache_write_1h: PricePerMillion | None = None
