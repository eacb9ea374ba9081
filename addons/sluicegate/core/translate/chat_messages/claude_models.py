"""What Claude models accept, by name, as data (docs.anthropic.com, "Models overview", "Effort", "Extended thinking").

As of 2026-11-29: the models of Anthropic's Python SDK 2.14.0, from Opus 4.5 to Fable 5.2, each have a row.

Names come in several spellings: `claude-opus-4-1-20250805`, `us.anthropic.claude-opus-4-1-20250805-v1:0`,
`anthropic/claude-opus-4.1`. A model that is not known is taken for one of the 4.6 generation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["PATTERNS", "Claude", "claude"]


_LOW: Final = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Claude:
    """What one model accepts."""

    max_tokens: int = 32_000
    """The max_tokens to request if the client sets none: at most what the model allows."""
    thinking: Literal["adaptive", "budget", "none"] = "adaptive"
    """How thinking is controlled: adaptive with output_config.effort, by a token budget, or not at all."""
    efforts: tuple[str, ...] = (*_LOW, "max")
    sampling: Literal["all", "one", "none"] = "one"
    """temperature and top_p: both, only one of them, or neither."""


_MODELS: Final = (
    (r"claude-(?:2|instant|3-(?:opus|sonnet|haiku))", Claude(4096, "none", (), "all")),
    (r"claude-3-5", Claude(8192, "none", (), "all")),
    (r"claude-3-7", Claude(32_000, "budget", (), "all")),
    (r"claude-(?:opus|sonnet)-4(?:-0|-20\d{6}|@|$)", Claude(32_000, "budget", (), "all")),
    (r"claude-(?:opus-4-1|[a-z]+-4-5)", Claude(32_000, "budget", (), "one")),
    (r"claude-(?:[a-z]+-4-6|mythos-preview)", Claude()),
    (r"claude-(?:[a-z]+-4-[7-9]|[a-z]+-(?:[5-9]|\d\d)(?!\d))", Claude(efforts=(*_LOW, "xhigh", "max"), sampling="none")),
)
"""A pattern of names → what those models accept. The first match counts."""
PATTERNS: Final = tuple((re.compile(pattern), model) for pattern, model in _MODELS)
_UNKNOWN: Final = Claude()


def claude(name: str) -> Claude:
    """What the model of this name accepts."""
    spelled = name.lower().replace(".", "-")
    return next((model for pattern, model in PATTERNS if pattern.search(spelled)), _UNKNOWN)
