"""Counters of a run."""

from typing import Any

import msgspec

from sluicegate.core.messages.usage import Usage
from sluicegate.services.telemetry.stats import Stats


def add(stats: Stats, **fields: Any) -> None:
    given: dict[str, Any] = {
        "outcome": "ok",
        "status": 200,
        "model": "m",
        "usage": None,
        "cost_usd": None,
        "bytes_in": 1,
        "bytes_out": 2,
    }
    stats.add(**{**given, **fields})


def test_what_is_counted() -> None:
    """Requests, outcomes, statuses, tokens by kind and by model, dollars, bytes."""
    stats = Stats(0)
    add(stats, usage=Usage(1, 2, 3, 4, 5, known=True), cost_usd=0.5)
    add(stats, usage=Usage(1, 1, known=True))
    add(stats, usage=Usage(), outcome="failed", status=None, model=None)
    seen = stats.snapshot()
    assert (seen["requests"], seen["outcomes"], seen["statuses"]) == (3, {"ok": 2, "failed": 1}, {"200": 2})
    assert seen["tokens"] == {
        "input_tokens": 2, "output_tokens": 3,
        "cache_read_tokens": 3, "cache_write_5m_tokens": 4, "cache_write_1h_tokens": 5,
    }  # fmt: skip
    assert (seen["cost_usd"], seen["unpriced_requests"]) == (0.5, 1)
    assert (seen["bytes_in"], seen["bytes_out"]) == (3, 6)
    assert seen["models"]["m"]["requests"] == 2
    assert (seen["models"]["m"]["cost_usd"], seen["models"]["m"]["unpriced_requests"]) == (0.5, 1)
    msgspec.json.encode(seen)


def test_models_are_bounded() -> None:
    """Names come from requests; beyond 200 they are counted together, and nothing is lost."""
    stats = Stats(0)
    for i in range(1000):
        add(stats, model=f"m{i}", usage=Usage(1, known=True), cost_usd=0.25)
    seen = stats.snapshot()
    assert len(seen["models"]) == 201
    assert len(stats.cost_by_model) == 201
    assert seen["models"]["(other)"]["requests"] == 800
    assert sum(m["requests"] for m in seen["models"].values()) == 1000
    assert sum(m["cost_usd"] for m in seen["models"].values()) == seen["cost_usd"] == 250


def test_what_the_scrubber_did() -> None:
    """Rules, tools and names are counted; tool names come from answers, so there is a limit to them."""
    stats = Stats(0.0)
    for n in range(300):
        stats.add_scrub({"found": {"github_token": 2}, "restored": 1, "withheld": {f"tool{n}": 1}, "unknown": 1})
    scrub = stats.snapshot()["scrub"]
    assert scrub["found"] == {"github_token": 600}
    assert scrub["names"] == {"restored": 300, "unknown": 300}
    assert len(scrub["withheld"]) == 201
    assert scrub["withheld"]["(other)"] == 100


def test_what_the_caches_did() -> None:
    """Labels, what hits saved in this run and of all time, what was lost in the provider's cache; the last are listed."""
    stats = Stats(0)
    assert stats.snapshot()["cache"] == {"labels": {}, "saved_tokens": 0, "saved_usd": 0.0, "all_time": None}
    stats.saved_all_time = lambda: {"saved_usd": 9.0}
    for label, tokens, usd in (("HIT", 10, 0.5), ("HIT", 20, None), ("MISS", None, None), (None, None, None)):
        stats.add_cached(label, tokens, usd)
    seen = stats.snapshot()["cache"]
    assert (seen["labels"], seen["saved_tokens"], seen["saved_usd"]) == ({"HIT": 2, "MISS": 1}, 30, 0.5)
    assert seen["all_time"] == {"saved_usd": 9.0}
    for i in range(60):
        stats.add_prompt_cache_miss({"n": i, "lost_tokens": 10, "lost_usd": None if i else 0.25})
    lost = stats.snapshot()["prompt_cache"]
    assert (lost["falls"], lost["lost_tokens"], lost["lost_usd"]) == (60, 600, 0.25)
    assert [f["n"] for f in lost["recent"]] == list(range(10, 60))
