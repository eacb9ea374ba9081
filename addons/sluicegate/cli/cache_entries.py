"""What the cache commands share: opening the configured store, decrypting its entries, and how entries are shown."""

from __future__ import annotations

import os
import time
from typing import Any, Final

import msgspec

from sluicegate.cli.table import (
    age,
    money,
    printable,
    rows,
    size,
)
from sluicegate.core.formats.registry import format_of
from sluicegate.settings import Settings
from sluicegate.stores.cache import cache_location, open_cache
from sluicegate.stores.cache.base import (
    CacheStore,
    EntrySummary,
    Limits,
)
from sluicegate.stores.cache.encryption import BodyEncryption

__all__ = ["HEADINGS", "description_of", "encryption_of", "open_store", "row_of"]

TOKENS: Final = ("input", "output", "cache read", "cache write 5m", "cache write 1h")
HEADINGS: Final = ("key", "age", "left", "hits", "size", "tokens", "cost", "model")


def open_store(settings: Settings) -> CacheStore:
    """The configuration's cache store. Raises StoreError."""
    own = settings.cache
    return open_cache(cache_location(settings.store, settings.state_dir), Limits(own.max_entries, own.max_bytes))


def encryption_of(settings: Settings) -> BodyEncryption:
    """By the configuration's cache.encrypt_key. Raises SecretError if that cannot be resolved."""
    key = settings.cache.encrypt_key
    return BodyEncryption(key.resolve(os.environ) if key else None)


def row_of(entry: EntrySummary) -> tuple[str, ...]:
    """An entry as a table row under HEADINGS."""
    now, head = time.time(), entry.head
    counts = format_of(head.surface).kind == "counts"
    tokens, cost = ("-", "-") if counts else (str(sum(head.tokens)), money(head.cost_usd))
    model = f"{head.model} (count)" if counts else head.model
    return (
        entry.key[:12],
        age(now - entry.created),
        age(entry.expires - now),
        str(entry.hits),
        size(entry.size),
        tokens,
        cost,
        printable(model[:26]),
    )


def description_of(entry: EntrySummary) -> str:
    """All fields of an entry except its body, one per line."""
    head = msgspec.to_builtins(entry.head)
    fields = {
        "key": entry.key,
        "created": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.created)),
        "expires": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.expires)),
        "hits": entry.hits,
        "size": size(entry.size),
        **{k: _readable(k, v) for k, v in head.items() if k not in ("headers", "timing")},
        **dict(entry.head.headers),
    }
    return rows([(printable(str(k)), printable(str(v))) for k, v in fields.items()]) + "\n"


def _readable(field: str, value: Any) -> Any:
    if field == "tokens":
        return ", ".join(f"{n} {kind}" for n, kind in zip(value, TOKENS, strict=True) if n) or "0"
    if field == "cost_usd":
        return money(value)
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else value
