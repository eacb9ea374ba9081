"""providers/quirks.py: the tables hold together."""

from __future__ import annotations

import re

import pytest

from sluicegate.providers.betas import without_flags
from sluicegate.providers.quirks import (
    BEDROCK,
    COMPATIBLE,
    OLLAMA,
    PRESET_QUIRKS,
    VERTEX,
)
from sluicegate.settings.providers import PRESETS, Betas

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
        "claude-code-20250219",
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
        "effort-2025-11-24",
        "tool-search-tool-2025-10-19",
    )


NEWER = ("structured-outputs-2025-11-13", "thinking-binding-controls-2026-08-01", "per-turn-control-2026-07-01")


def test_the_lists_say_as_of_when_and_by_whom() -> None:
    """And hold what is reported of newer flags."""
    assert BEDROCK.betas_of(NEWER) == NEWER[:2]
    assert VERTEX.betas_of(NEWER) == NEWER
    for quirks in (BEDROCK, VERTEX):
        assert quirks.betas
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", quirks.betas.as_of)
        assert quirks.betas.source


def test_the_configuration_goes_before_the_list() -> None:
    """`allow` under the client's own name, too; `deny` goes before `allow`, also for a flag by its name over there."""
    configured = Betas(allow=("per-turn-*", "advanced-tool-use-*"), deny=("effort-*",))
    assert BEDROCK.betas_of((*CLAUDE_CODES, *NEWER), configured) == (
        "claude-code-20250219",
        "interleaved-thinking-2025-05-14",
        "context-management-2025-06-27",
        "advanced-tool-use-2025-11-20",
        *NEWER,
    )
    assert VERTEX.betas_of(NEWER, Betas(allow=("*",), deny=("*",))) == ()
    assert "tool-search-tool-2025-10-19" not in BEDROCK.betas_of(CLAUDE_CODES, Betas(deny=("tool-search-*",)))
    assert COMPATIBLE.betas_of(NEWER, Betas(deny=("structured-*",))) == NEWER[1:]


def test_flags_are_taken_out_of_the_header() -> None:
    """All of its fields; one that loses all of its flags goes, other fields stay the same."""
    fields = ((b"a", b"1"), (b"Anthropic-Beta", b"x-1, y-1"), (b"anthropic-beta", b"x-2"), (b"anthropic-beta", b"z-1"))
    kept, lost = without_flags(fields, ("x-*",))
    assert kept == ((b"a", b"1"), (b"Anthropic-Beta", b"y-1"), (b"anthropic-beta", b"z-1"))
    assert lost == ("x-1", "x-2")
    assert without_flags(fields, ("q-*",)) == (fields, ())
    assert without_flags(fields, ())[0] is fields


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
