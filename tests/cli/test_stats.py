"""`sluicegate stats` and `monitor`: what their numbers say of costs."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.cli.monitor import line_of
from sluicegate.cli.stats import table_of
from sluicegate.core.messages.usage import Usage
from sluicegate.services.telemetry.stats import Stats


def table(*costs: float | None) -> str:
    stats = Stats(0)
    for cost in costs:
        stats.add(
            outcome="ok", status=200, model="m", usage=Usage(1, 1, known=True), cost_usd=cost, bytes_in=1, bytes_out=1
        )
    return table_of({"run": stats.snapshot(), "alarms": {}})


@pytest.mark.parametrize(
    ("costs", "total", "of_model"),
    [
        ((None, None), "? (2 without a price)", "  ?"),
        ((0.5, None), "$0.5000 + 1 without a price", "  $0.5000 + ?"),
        ((0.5,), "  $0.5000", "  $0.5000"),
    ],
)
def test_calls_without_a_price_are_not_shown_as_free(costs: tuple[float | None, ...], total: str, of_model: str) -> None:
    """In the sum and in the model's row."""
    lines = table(*costs).splitlines()
    assert next(line for line in lines if line.startswith("cost")).endswith(total)
    assert next(line for line in lines if line.startswith("m ")).endswith(of_model)


@pytest.mark.parametrize(
    ("call", "shown"), [({"tokens": 5, "cost_usd": None}, " ? "), ({"tokens": 0, "cost_usd": None}, " $0.0000 ")]
)
def test_a_call_of_an_unknown_price_has_none(call: dict[str, Any], shown: str) -> None:
    """A call without tokens costs nothing."""
    other = {"seq": 1, "label": None, "outcome": "ok", "model": "m", "duration_ms": 1.0}
    assert shown in line_of({**other, **call})
