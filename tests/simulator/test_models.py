"""simulator/models.py: its prices are those of the price table, for each current model."""

from __future__ import annotations

import pytest
from anthropic.types.model_param import ModelParam

from sluicegate.core.messages.usage import Usage
from sluicegate.core.pricing.prices import Prices
from sluicegate.core.prompt_cache.markers import min_cacheable_tokens
from sluicegate.simulator.models import MODELS, family

NAMES = sorted({m for literal in ModelParam.__args__ for m in getattr(literal, "__args__", ())} | {m for m, *_ in MODELS})
PRICES = Prices()


@pytest.mark.parametrize("model", NAMES)
def test_families(model: str) -> None:
    """Input, output and cache reads, which have no constant share of the input; and the least that is cached."""
    row = family(model)
    assert row.min_cache_tokens == min_cacheable_tokens(model)
    usages = {"input_tokens": "fresh", "output_tokens": "output", "cache_read_tokens": "read"}
    for kind, name in usages.items():
        asked = {**dict.fromkeys(("fresh", "read", "write_5m", "write_1h", "output"), 0), name: 1000}
        expected = PRICES.cost_usd(Usage(**{kind: 1000}), model)  # type: ignore[arg-type]
        if expected is not None:  # previews have no price
            assert row.cost_usd(**asked) == pytest.approx(expected)
