"""providers/quirks.py: the tables hold together."""

from __future__ import annotations

import pytest

from sluicegate.providers.quirks import (
    BEDROCK,
    COMPATIBLE,
    OLLAMA,
    PRESET_QUIRKS,
    VERTEX,
)
from sluicegate.settings.providers import PRESETS

CLAUDE_CODES = (
    "claude-code-20250219",
    "interleaved-thinking-2025-05-14",
    "context-management-2025-06-27",
    "prompt-caching-scope-2026-01-05",
    "effort-2025-11-24",
    "advanced-tool-use-2025-11-20",
    "oauth-2025-04-20",
)


def test_bedrock_gets_what_it_knows() -> None:
    """By its own names, each once, in the client's order."""
    assert BEDROCK.betas_of(CLAUDE_CODES) == (
        "interleaved-thinking-2025-05-14",
        "context-management-2025-06-27",
        "effort-2025-11-24",
        "tool-search-tool-2025-10-19",
    )


def test_vertex_gets_all_but_what_only_anthropic_has() -> None:
    """A login's flag above all."""
    assert VERTEX.betas_of(CLAUDE_CODES) == (
        "claude-code-20250219",
        "interleaved-thinking-2025-05-14",
        "context-management-2025-06-27",
        "effort-2025-11-24",
        "tool-search-tool-2025-10-19",
    )


def test_others_get_all_flags() -> None:
    """Nothing is known of what they take."""
    assert COMPATIBLE.betas_of(CLAUDE_CODES) == CLAUDE_CODES


@pytest.mark.parametrize(
    ("model", "dropped"),
    [
        ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", True),
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", False),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", False),
    ],
)
def test_older_models_can_not_think(model: str, dropped: bool) -> None:
    """What a model refuses goes by its name."""
    assert ("thinking" in BEDROCK.drops_of(model)) is dropped


def test_the_presets_exist() -> None:
    """No quirk for a preset that is not there."""
    assert PRESET_QUIRKS.keys() <= PRESETS.keys()
    assert not OLLAMA.counts_tokens
