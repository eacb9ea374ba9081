"""The simulator's models: the list for /v1/models, minimum cacheable prefixes, and prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MODELS: tuple[tuple[str, str, str], ...] = (
    ("claude-fable-5-2", "Claude Fable 5.2", "2026-11-05T00:00:00Z"),
    ("claude-mythos-5-2", "Claude Mythos 5.2", "2026-11-05T00:00:00Z"),
    ("claude-haiku-5-5", "Claude Haiku 5.5", "2026-10-14T00:00:00Z"),
    ("claude-sonnet-5-5", "Claude Sonnet 5.5", "2026-10-01T00:00:00Z"),
    ("claude-opus-5-5", "Claude Opus 5.5", "2026-09-15T00:00:00Z"),
    ("claude-opus-4-8", "Claude Opus 4.8", "2026-05-28T00:00:00Z"),
    ("claude-sonnet-4-6", "Claude Sonnet 4.6", "2026-02-17T00:00:00Z"),
    ("claude-opus-4-5-20251101", "Claude Opus 4.5", "2025-11-24T00:00:00Z"),
    ("claude-haiku-4-5-20251001", "Claude Haiku 4.5", "2025-10-15T00:00:00Z"),
    ("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", "2025-09-29T00:00:00Z"),
)
"""id, display name, created at; newest first, as the API lists them. The dates of the newest are the simulator's own."""


@dataclass(frozen=True, slots=True)
class Family:
    """One row for every model whose name contains `part`; prices in USD per million tokens."""

    part: str
    min_cache_tokens: int
    input_usd: float
    output_usd: float
    read_share: float = 0.1
    """The price of a cache read as a share of the input price."""

    def cost_usd(self, *, fresh: int, read: int, write_5m: int, write_1h: int, output: int) -> float:
        weighted = fresh + read * self.read_share + write_5m * 1.25 + write_1h * 2
        return (weighted * self.input_usd + output * self.output_usd) / 1_000_000


FAMILIES: tuple[Family, ...] = (
    Family("opus-4-1", 1024, 15, 75),
    Family("opus-4-2", 1024, 15, 75),  # opus-4-20250514
    Family("opus-4-0", 1024, 15, 75),
    Family("3-opus", 1024, 15, 75),
    Family("opus-4-8", 1024, 5, 25),
    Family("opus-4-7", 2048, 5, 25),
    Family("opus-4", 4096, 5, 25),
    Family("opus-5-5", 512, 4, 20, 0.05),
    Family("opus", 512, 5, 25),
    Family("fable-5-2", 512, 8, 40, 0.025),
    Family("fable-5-1", 512, 10, 50, 0.025),
    Family("fable", 512, 10, 50),
    Family("mythos", 512, 8, 40, 0.025),
    Family("sonnet-5-5", 1024, 2, 10, 0.05),
    Family("sonnet-5", 1024, 2, 10),
    Family("haiku-3", 2048, 0.8, 4),
    Family("3-5-haiku", 2048, 0.8, 4),
    Family("3-haiku", 2048, 0.25, 1.25),
    Family("haiku-5-5", 4096, 0.1, 0.5),
    Family("haiku", 4096, 1, 5),
    Family("", 1024, 3, 15),
)
"""First match wins. Fixed values for tests, not a real price list: those of a short prompt, as of 2026-11-29."""


def family(model: str) -> Family:
    name = model.replace(".", "-")
    return next(row for row in FAMILIES if row.part in name)


def known(model: str) -> bool:
    """Whether the simulator serves this model."""
    return "claude" in model


def entry(row: tuple[str, str, str]) -> dict[str, Any]:
    model_id, display_name, created_at = row
    return {"type": "model", "id": model_id, "display_name": display_name, "created_at": created_at}


def listing(limit: int) -> dict[str, Any]:
    """The answer of GET /v1/models."""
    rows = MODELS[:limit]
    return {
        "data": [entry(row) for row in rows],
        "has_more": len(rows) < len(MODELS),
        "first_id": rows[0][0] if rows else None,
        "last_id": rows[-1][0] if rows else None,
    }
