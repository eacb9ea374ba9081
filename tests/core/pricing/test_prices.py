"""Prices: numbers worked out by hand from the published list prices."""

import random
import subprocess
import sys
from datetime import UTC, datetime, tzinfo
from typing import Any

import genai_prices
import genai_prices.types
import pytest
from genai_prices.data_snapshot import get_snapshot

from sluicegate.core.messages.usage import Usage
from sluicegate.core.pricing.prices import ModelPrice, Prices

M = 1_000_000
NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def prices() -> Prices:
    return Prices()


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (Usage(input_tokens=M), 1.00),
        (Usage(output_tokens=M), 5.00),
        (Usage(cache_read_tokens=M), 0.10),
        (Usage(cache_write_5m_tokens=M), 1.25),
        (Usage(cache_write_1h_tokens=M), 2.00),
        (Usage(20, 254), 0.00129),
        (Usage(1000, 100, 50_000, 2000, 3000), 0.001 + 0.0005 + 0.005 + 0.0025 + 0.006),
        (Usage(), 0.0),
        (Usage(web_search_requests=3), 0.03),
    ],
)
def test_haiku(prices: Prices, usage: Usage, usd: float) -> None:
    """claude-haiku-4-5: $1 in, $5 out; reads ×0.1, writes ×1.25 (5m) and ×2 (1h); a search is one cent."""
    assert prices.cost_usd(usage, "claude-haiku-4-5") == pytest.approx(usd)
    assert prices.cost_usd(usage, "claude-haiku-4-5-20251001") == pytest.approx(usd)


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (Usage(200_000, 1000), 0.600 + 0.015),
        (Usage(200_001, 1000), 200_001 * 6 / M + 0.0225),
        (Usage(1, 1000, 150_000, 49_999), (3 + 15_000 + 45_000 + 49_999 * 3.75) / M),
        (Usage(1, 1000, 150_000, 50_000), (6 + 22_500 + 90_000 + 375_000) / M),
        (Usage(1, 300_000), 3 / M + 4.5),
    ],
)
def test_long_context(prices: Prices, usage: Usage, usd: float) -> None:
    """claude-sonnet-4-5: $3/$15, and $6/$22.50 for all of a request with more than 200k input tokens, cached ones too."""
    assert prices.cost_usd(usage, "claude-sonnet-4-5") == pytest.approx(usd)


def test_geography_costs_a_tenth_more(prices: Prices) -> None:
    """`inference_geo: us` is ×1.1 on tokens, not on searches; other values are not."""
    plain = Usage(M, M)
    for geo, factor in [("us", 1.1), ("US", 1.1), ("global", 1), ("not_available", 1), (None, 1)]:
        usage = Usage(M, M, inference_geo=geo, web_search_requests=100)
        expected = (prices.cost_usd(plain, "claude-haiku-4-5") or 0) * factor + 1.0
        assert prices.cost_usd(usage, "claude-haiku-4-5") == pytest.approx(expected)


def test_iterations_are_billed_besides(prices: Prices) -> None:
    """Compaction at the answer's price, an advisor at its own; a tier counts each piece of work by itself."""
    usage = Usage(M, 0, iterations=[(None, Usage(0, M)), ("claude-opus-4-6", Usage(M, 0))])
    assert prices.cost_usd(usage, "claude-haiku-4-5") == pytest.approx(1 + 5 + 5)
    tiers = Usage(150_000, 0, iterations=[(None, Usage(150_000, 0))])
    assert prices.cost_usd(tiers, "claude-sonnet-4-5") == pytest.approx(0.9)
    unknown = Usage(M, 0, iterations=[("no-such-model", Usage(1, 0))])
    assert prices.cost_usd(unknown, "claude-haiku-4-5") is None


@pytest.mark.parametrize(
    ("tokens", "searches", "usd", "estimated"),
    [
        (150_000, 2, 0.45, False),
        (300_000, 1, 0.90, True),
        (300_000, 0, 1.80, False),
        (900_000, 1, 5.40, True),
    ],
)
def test_a_sum_of_prompts_is_not_one_long_prompt(
    prices: Prices, tokens: int, searches: int, usd: float, estimated: bool
) -> None:
    """Each prompt has the price of its own length. If that is a guess that changes the price, the cost says so."""
    found = prices.cost(Usage(tokens, web_search_requests=searches), "claude-sonnet-4-5")
    assert found is not None
    assert (found.usd, found.estimated) == (pytest.approx(usd + searches * 0.01), estimated)
    flat = prices.cost(Usage(tokens, web_search_requests=searches), "claude-haiku-4-5")
    assert flat is not None
    assert not flat.estimated


@pytest.mark.parametrize("model", ["", "no-such-model", "x" * 100_000, "\x00", "claude", "../../etc", "\N{SNOWMAN}"])
@pytest.mark.parametrize("source", ["anthropic", "aws", "google", "no-such-provider", ""])
def test_what_is_not_known_has_no_price(prices: Prices, model: str, source: str) -> None:
    """None, never 0 and never a guess."""
    assert prices.cost_usd(Usage(1, 1), model, source) is None


def test_a_faster_tier_is_not_priced_as_the_standard_one(prices: Prices) -> None:
    """`speed: fast` has the table's price for it; without one the cost is unknown."""
    assert prices.cost_usd(Usage(1, 1, speed="fast"), "claude-opus-4-6") is None
    assert prices.cost_usd(Usage(1, 1, speed="standard"), "claude-opus-4-6") is not None
    assert prices.cost_usd(Usage(M, speed="standard"), "claude-opus-5", when=NOW) == pytest.approx(5)
    assert prices.cost_usd(Usage(M, speed="fast"), "claude-opus-5", when=NOW) == pytest.approx(10)
    assert prices.cost_usd(Usage(M, speed="fast"), "claude-opus-5") == pytest.approx(10)
    assert prices.cost_usd(Usage(M, speed="turbo"), "claude-opus-5", when=NOW) is None
    assert prices.cost_usd(Usage(M, speed="fast", service_tier="batch"), "claude-opus-5", when=NOW) is None
    assert Prices({"*": ModelPrice(1, 1)}).cost_usd(Usage(M, speed="fast"), "claude-opus-5") is None


def test_batches_cost_half(prices: Prices) -> None:
    """From the day on that the table knows of it."""
    usage = Usage(M, service_tier="batch")
    assert prices.cost_usd(usage, "claude-haiku-4-5", when=NOW) == pytest.approx(0.5)
    assert prices.cost_usd(usage, "claude-haiku-4-5", when=datetime(2026, 1, 1, tzinfo=UTC)) is None


def claude_models() -> list[tuple[str, str]]:
    sources = {"anthropic", "aws", "google", "openrouter"}
    providers = get_snapshot().providers
    return [(p.id, m.id) for p in providers if p.id in sources for m in p.models if "claude" in m.id]


@pytest.mark.parametrize(("source", "model"), claude_models())
@pytest.mark.parametrize("when", [datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)], ids=str)
def test_costs_equal_those_of_the_table(prices: Prices, source: str, model: str, when: datetime) -> None:
    """The short cut computes what genai-prices computes, tiers, dated prices and missing cache prices included."""
    rng = random.Random(model)
    for size in (100, 20_000, 60_000, 300_000):
        u = Usage(*(rng.randrange(size) for _ in range(4)))
        theirs = genai_prices.Usage(
            input_tokens=u.total_input(),
            output_tokens=u.output_tokens,
            cache_read_tokens=u.cache_read_tokens,
            cache_write_tokens=u.cache_write_5m_tokens,
        )
        try:
            found = genai_prices.calc_price(theirs, model, provider_id=source, genai_request_timestamp=when)
        except LookupError:  # some names of the table are not found by its own matching
            assert prices.cost_usd(u, model, source, when) is None
        else:
            assert prices.cost_usd(u, model, source, when) == pytest.approx(float(found.total_price), rel=1e-12)


def test_a_model_that_charges_no_cache_counts_its_tokens_as_input(prices: Prices) -> None:
    """claude-2: $8 in, and no word of caching."""
    assert prices.cost_usd(Usage(M, 0, M, M, M), "claude-2") == pytest.approx(32)


def test_a_model_without_any_price_has_none(prices: Prices) -> None:
    """The table lists it; that it is free it does not say."""
    for usage in (Usage(), Usage(5, 5, known=True)):
        assert prices.cost_usd(usage, "phi-4-reasoning:free", "azure") is None


def test_rounds_do_not_add_up_to_a_long_prompt(prices: Prices) -> None:
    """Two of 150k stay below the tier of 200k; a fallback's round costs what its own model costs."""
    usage = Usage()
    usage.take({"input_tokens": 300_000, "iterations": [{"type": "message", "input_tokens": 150_000}] * 2})
    assert prices.cost_usd(usage, "claude-sonnet-4-5") == pytest.approx(0.9)
    usage.take({"iterations": [{"type": "message", "input_tokens": 250_000}]})  # 50k are not accounted for
    assert prices.cost_usd(usage, "claude-sonnet-4-5") == pytest.approx(1.5 + 0.15)
    usage = Usage()
    spent = {"input_tokens": 1000, "output_tokens": 10}
    usage.take({**spent, "iterations": [{"type": "fallback_message", "model": "claude-opus-4-5", **spent}]})
    assert prices.cost_usd(usage, "claude-sonnet-4-5") == pytest.approx(0.00525)


def test_overrides_win() -> None:
    """The first pattern that fits; cache prices that are not given follow from the input price; tiers do not apply."""
    prices = Prices({"claude-haiku-*": ModelPrice(10, 20), "*": ModelPrice(1, 1, 0, 0, 0), "claude-*": ModelPrice(9, 9)})
    assert prices.cost_usd(Usage(M, M), "claude-haiku-4-5") == pytest.approx(30)
    assert prices.cost_usd(Usage(0, 0, M, M, M), "claude-haiku-4-5") == pytest.approx(1 + 12.5 + 20)
    assert prices.cost_usd(Usage(M, M, M, M, M), "my-own-model", "anything") == pytest.approx(2)
    assert prices.cost_usd(Usage(M, M, inference_geo="us"), "mine") == pytest.approx(2.2)


def test_an_override_keeps_the_tables_share_of_cache_prices() -> None:
    """A cache read is no constant share of the input price: a tenth for Opus 5, a fortieth for Fable 5.2."""
    prices = Prices(
        {"claude-*": ModelPrice(100, 200), "fixed": ModelPrice(100, 200, 1, 2, 3), "mine": ModelPrice(100, 200)}
    )
    reads = {"claude-opus-5": 10, "claude-opus-5-5": 5, "claude-fable-5-2": 2.5, "claude-haiku-4-5": 10, "mine": 10}
    for model, usd in reads.items():
        assert prices.cost_usd(Usage(cache_read_tokens=M), model) == pytest.approx(usd)
        assert prices.cost_usd(Usage(0, 0, 0, M, M), model) == pytest.approx(125 + 200)
    assert prices.cost_usd(Usage(0, 0, M, M, M), "fixed") == pytest.approx(6)
    assert prices.cost_usd(Usage(cache_read_tokens=M), "claude-unheard-of") == pytest.approx(10)


def test_bedrock_and_vertex_names(prices: Prices) -> None:
    """The vendors' own spellings of a model have prices, too."""
    assert prices.cost_usd(Usage(M, 0), "anthropic.claude-haiku-4-5-20251001-v1:0", "aws")
    assert prices.cost_usd(Usage(M, 0), "claude-haiku-4-5@20251001", "google")


def test_the_memory_of_prices_is_bounded() -> None:
    """Model names come from answers; they cannot fill it."""
    prices = Prices()
    for i in range(1200):
        prices.cost_usd(Usage(1, 1), f"model-{i}")
    assert len(prices._models) <= 500


def test_the_table_keeps_no_names() -> None:
    """What genai-prices remembers does not grow with what requests name."""
    held: Any = get_snapshot()

    def size() -> int:
        return len(held._lookup_cache) + len(held._provider_cache) + len(held._provider_misses)

    before, prices = size(), Prices()
    for i in range(1000):
        prices.cost_usd(Usage(1), f"claude-2-{i}")
        prices.cost_usd(Usage(1), f"zz-{i}", f"p{i}")
    assert size() == before


def test_prices_at_a_time(prices: Prices) -> None:
    """A dated price is that of the given day, in any order of days."""
    for when, usd in [(datetime(2026, 3, 12, tzinfo=UTC), 10), (NOW, 5), (datetime(2026, 1, 1, tzinfo=UTC), 10)]:
        assert prices.cost_usd(Usage(M, 0), "claude-opus-4-6", when=when) == pytest.approx(usd)
        assert prices.cost_usd(Usage(M, 0), "claude-haiku-4-5", when=when) == pytest.approx(1)


def test_without_a_time_a_dated_price_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that runs for months does not keep the price of its first day."""

    class Clock(datetime):
        today = datetime(2026, 3, 12, 23, 59, tzinfo=UTC)

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return cls.today

    monkeypatch.setattr(genai_prices.types, "datetime", Clock)
    prices = Prices()
    assert prices.cost_usd(Usage(M, 0), "claude-opus-4-6") == pytest.approx(10)
    Clock.today = datetime(2026, 3, 13, tzinfo=UTC)
    assert prices.cost_usd(Usage(M, 0), "claude-opus-4-6") == pytest.approx(5)


def test_the_table_is_not_imported_with_the_module() -> None:
    """Nor for prices of the operator's own."""
    code = "import sys, sluicegate.core.pricing.prices as p; p.Prices({'*': p.ModelPrice(1, 1)}).cost_usd(p.Usage(1), 'x');"
    code += "assert 'genai_prices' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
