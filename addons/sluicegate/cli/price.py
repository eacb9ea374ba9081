"""`sluicegate price`: the prices of a model."""

from __future__ import annotations

from typing import Annotated

import typer

from sluicegate.cli.places import ConfigOption, fail, read_settings
from sluicegate.cli.table import rows
from sluicegate.core.messages.usage import Usage
from sluicegate.core.pricing.prices import Prices
from sluicegate.settings import Settings
from sluicegate.settings.provider_kinds import KINDS, kind_named

__all__ = ["KindOption", "price", "prices_of"]

KindOption = Annotated[str, typer.Option(help="Provider kind: anthropic, bedrock, vertex, openai, …")]
_KINDS_OF_TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache read": "cache_read_tokens",
    "cache write 5m": "cache_write_5m_tokens",
    "cache write 1h": "cache_write_1h_tokens",
}
_PROBE = 1000
"""Tokens used to compute a price: below the threshold of every long-context price."""


def price(
    model: Annotated[str, typer.Argument(help="Model name, as in requests.")],
    kind: KindOption = "anthropic",
    config: ConfigOption = None,
) -> None:
    """Show the prices of a model in US dollars per million tokens. Prices in the configuration take precedence."""
    prices = prices_of(read_settings(config))
    found = {
        name: prices.cost_usd(Usage(**{field: _PROBE}, known=True), model, kind_named(kind).price_source)  # type: ignore[arg-type]
        for name, field in _KINDS_OF_TOKENS.items()
    }
    if all(usd is None for usd in found.values()):
        fail(f"no price known for {model[:100]!r} of {kind}; {_instead(prices, model, kind)}", 1)
    table = [(name, "?" if usd is None else f"{usd / _PROBE * 1_000_000:.4g}") for name, usd in found.items()]
    typer.echo(f"{model}, US dollars per million tokens\n{rows(table, ' r')}")


def _instead(prices: Prices, model: str, kind: str) -> str:
    usage = Usage(input_tokens=_PROBE, known=True)
    others = {k: traits.price_source for k, traits in KINDS.items() if k != kind}
    kinds = [k for k, source in others.items() if prices.cost_usd(usage, model, source) is not None]
    if kinds:
        return f"there is one with --kind {' or --kind '.join(kinds)}"
    return "add one under prices: in the configuration"


def prices_of(settings: Settings) -> Prices:
    """The built-in prices, overridden by those of the configuration."""
    from sluicegate.services.services import Services

    return Services({}).prices_for(settings)
