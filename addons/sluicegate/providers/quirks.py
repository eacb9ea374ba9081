"""How providers of the Messages API differ from Anthropic, as tables.

Chat Completions servers have their own table, in core/translate/messages_chat/flavours.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sluicegate.providers.betas import BEDROCK_BETAS, VERTEX_BETAS, BetaList
from sluicegate.settings.providers import Betas

__all__ = ["BEDROCK", "COMPATIBLE", "OLLAMA", "PRESET_QUIRKS", "VERTEX", "Quirks"]


@dataclass(frozen=True, slots=True)
class Quirks:
    """How a provider of the Messages API differs from Anthropic."""

    max_body: int | None = None
    """Bytes of a request; None: the gate's own limit is the only one."""
    pings: bool = True
    counts_tokens: bool = True
    attribution: bool = False
    """Whether it understands Claude Code's attribution block."""
    betas: BetaList | None = None
    """The beta flags that it accepts; None: all are passed on."""
    drops: frozenset[str] = frozenset()
    """Fields of a request that it rejects, and that do not change the meaning of the answer."""
    lacks: frozenset[str] = frozenset()
    """Fields of a request that it does not support: refused, or dropped if the configuration says so."""
    drops_by_model: tuple[tuple[re.Pattern[str], frozenset[str]], ...] = ()
    """Further fields that the models of a name reject."""
    automatic_cache: bool = True
    """Takes a top-level cache_control."""
    cache_scope: bool = True
    """Takes a scope within a cache_control."""

    def drops_of(self, model: str) -> frozenset[str]:
        """All fields that are dropped from a request for this model."""
        return self.drops.union(*(names for pattern, names in self.drops_by_model if pattern.search(model)))

    def betas_of(self, flags: Iterable[str], configured: Betas | None = None) -> tuple[str, ...]:
        """The client's flags that it accepts, under its own names. `configured`: what the operator says instead."""
        return (self.betas or _ALL).of(flags, configured)


_ALL: Final = BetaList("", "")
_ONLY_ANTHROPIC: Final = frozenset({"container", "mcp_servers", "inference_geo"})

BEDROCK: Final = Quirks(
    max_body=20 * 1024 * 1024,
    pings=False,
    betas=BEDROCK_BETAS,
    drops=frozenset({"service_tier", "speed", "betas", "diagnostics"}),
    lacks=_ONLY_ANTHROPIC,
    drops_by_model=((re.compile(r"claude-(?:3-(?!7)|instant|v2)"), frozenset({"thinking", "output_config"})),),
    automatic_cache=False,
    cache_scope=False,
)
VERTEX: Final = Quirks(
    max_body=30 * 1024 * 1024,
    betas=VERTEX_BETAS,
    drops=frozenset({"service_tier", "speed", "betas", "diagnostics"}),
    lacks=_ONLY_ANTHROPIC,
    cache_scope=False,
)
COMPATIBLE: Final = Quirks()
"""A Messages API that is not Anthropic's."""
OLLAMA: Final = Quirks(counts_tokens=False, drops=frozenset({"tool_choice"}))

PRESET_QUIRKS: Final[dict[str, Quirks]] = {"ollama": OLLAMA}
"""By the name of the preset."""
