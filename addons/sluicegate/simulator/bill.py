"""The bill: cost of the calls at the simulator's own prices, by model and by credential."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sluicegate.simulator.models import family
from sluicegate.simulator.prompt_cache import InputTokens


@dataclass(slots=True)
class Line:
    """Tokens of one model or one credential."""

    calls: int = 0
    input_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_5m_input_tokens: int = 0
    cache_creation_1h_input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0

    def add(self, tokens: InputTokens, output: int, cost_usd: float) -> None:
        self.calls += 1
        self.input_tokens += tokens.fresh
        self.cache_read_input_tokens += tokens.read
        self.cache_creation_5m_input_tokens += tokens.write_5m
        self.cache_creation_1h_input_tokens += tokens.write_1h
        self.output_tokens += output
        self.cost_usd += cost_usd

    def dump(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__} | {"cost_usd": round(self.cost_usd, 9)}


@dataclass(slots=True)
class Bill:
    """Input is charged when an answer starts, output by the part that was sent."""

    models: dict[str, Line] = field(default_factory=dict)
    credentials: dict[str, Line] = field(default_factory=dict)

    def charge(self, model: str, credential: str, tokens: InputTokens, output: int) -> float:
        """Add a call; its cost in USD."""
        cost_usd = family(model).cost_usd(
            fresh=tokens.fresh,
            read=tokens.read,
            write_5m=tokens.write_5m,
            write_1h=tokens.write_1h,
            output=output,
        )
        self.models.setdefault(model, Line()).add(tokens, output, cost_usd)
        self.credentials.setdefault(credential, Line()).add(tokens, output, cost_usd)
        return cost_usd

    def dump(self) -> dict[str, Any]:
        return {
            "prices": "the simulator's own, in USD",
            "calls": sum(line.calls for line in self.models.values()),
            "cost_usd": round(sum(line.cost_usd for line in self.models.values()), 9),
            "models": {model: line.dump() for model, line in self.models.items()},
            "credentials": {credential: line.dump() for credential, line in self.credentials.items()},
        }
