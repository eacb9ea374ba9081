"""Claude Code's attribution: the block for Anthropic's billing that it puts first in `system`.

It contains the client's version and a value that changes with every request, so whatever compares requests leaves it out.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ATTRIBUTION_PREFIX", "is_attribution"]

ATTRIBUTION_PREFIX: Final = "x-anthropic-billing-header:"


def is_attribution(block: object) -> bool:
    """Whether a block of `system` is the attribution."""
    return isinstance(block, dict) and isinstance(text := block.get("text"), str) and text.startswith(ATTRIBUTION_PREFIX)
