"""Prices: numbers worked out by hand from the published list prices."""

from datetime import UTC, datetime

import pytest

from sluicegate.core.pricing import ModelPrice, Prices
from sluicegate.core.usage import Usage

M = 1_000_000


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


@pytest.mark.parametrize("model", ["", "no-such-model", "x" * 100_000, "\x00", "claude", "../../etc", "\N{SNOWMAN}"])
@pytest.mark.parametrize("kind", ["anthropic", "bedrock", "vertex", "no-such-provider", ""])
def test_what_is_not_known_has_no_price(prices: Prices, model: str, kind: str) -> None:
    """None, never 0 and never a guess."""
    assert prices.cost_usd(Usage(1, 1), model, kind) is None


def test_a_faster_tier_is_not_priced_as_the_standard_one(prices: Prices) -> None:
    """`speed: fast` costs a multiple that the table does not know."""
    assert prices.cost_usd(Usage(1, 1, speed="fast"), "claude-opus-4-6") is None
    assert prices.cost_usd(Usage(1, 1, speed="standard"), "claude-opus-4-6") is not None


def test_overrides_win() -> None:
    """The first pattern that fits; cache prices that are not given follow from the input price; tiers do not apply."""
    prices = Prices({"claude-haiku-*": ModelPrice(10, 20), "*": ModelPrice(1, 1, 0, 0, 0), "claude-*": ModelPrice(9, 9)})
    assert prices.cost_usd(Usage(M, M), "claude-haiku-4-5") == pytest.approx(30)
    assert prices.cost_usd(Usage(0, 0, M, M, M), "claude-haiku-4-5") == pytest.approx(1 + 12.5 + 20)
    assert prices.cost_usd(Usage(M, M, M, M, M), "my-own-model", "anything") == pytest.approx(2)
    assert prices.cost_usd(Usage(M, M, inference_geo="us"), "mine") == pytest.approx(2.2)


def test_bedrock_and_vertex_names(prices: Prices) -> None:
    """The vendors' own spellings of a model have prices, too."""
    assert prices.cost_usd(Usage(M, 0), "anthropic.claude-haiku-4-5-20251001-v1:0", "bedrock")
    assert prices.cost_usd(Usage(M, 0), "claude-haiku-4-5@20251001", "vertex")


def test_the_memory_of_prices_is_bounded() -> None:
    """Model names come from answers; they can not fill it."""
    prices = Prices()
    for i in range(1200):
        prices.cost_usd(Usage(1, 1), f"model-{i}")
    assert len(prices._cache) <= 500


def test_prices_at_a_time(prices: Prices) -> None:
    """A date may be given."""
    when = datetime(2026, 1, 1, tzinfo=UTC)
    assert prices.cost_usd(Usage(M, 0), "claude-haiku-4-5", when=when) == pytest.approx(1)
