"""core/translate/messages_chat/flavours.py and claude_models.py: what servers and models take, by their names."""

from __future__ import annotations

import pytest
from anthropic.types.model_param import ModelParam

from sluicegate.core.translate.chat_messages.claude_models import PATTERNS, claude
from sluicegate.core.translate.pairs import FLAVOURS, GENERIC, flavour_of

OPENAI = FLAVOURS["openai"]


@pytest.mark.parametrize(
    ("host", "flavour"),
    [
        ("api.openai.com", "openai"),
        ("API.OPENAI.COM.", "openai"),
        ("eu.api.openai.com", "openai"),
        ("mine.openai.azure.com", "openai"),
        ("api.groq.com", "groq"),
        ("api.cerebras.ai", "cerebras"),
        ("api.mistral.ai", "mistral"),
    ],
)
def test_a_server_is_known_by_its_host(host: str, flavour: str) -> None:
    """Presets and their hosts mean the same."""
    assert flavour_of(host) is FLAVOURS[flavour]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "notopenai.com", "api.openai.com.evil.org", ""])
def test_others_are_generic(host: str) -> None:
    """A name that only resembles a known one is not it."""
    assert flavour_of(host) is GENERIC


@pytest.mark.parametrize(
    ("model", "efforts", "samples"),
    [
        ("gpt-4o", (), True),
        ("gpt-4.1-mini", (), True),
        ("gpt-3.5-turbo", (), True),
        ("o3", ("low", "medium", "high"), False),
        ("o4-mini", ("low", "medium", "high"), False),
        ("gpt-5-mini", ("minimal", "low", "medium", "high"), False),
        ("gpt-5-chat-latest", (), True),
        ("gpt-5.2", ("none", "low", "medium", "high", "xhigh"), False),
        ("openai/gpt-5.2", ("none", "low", "medium", "high", "xhigh"), False),
    ],
)
def test_openai_models(model: str, efforts: tuple[str, ...], samples: bool) -> None:
    """Reasoning models take an effort and no sampling parameters, the others the reverse."""
    assert OPENAI.efforts_of(model, tools=False) == efforts
    assert OPENAI.samples(model) == samples


def test_models_that_take_tools_only_without_reasoning() -> None:
    """From gpt-5.4 on, Chat Completions has tools or reasoning."""
    assert OPENAI.efforts_of("gpt-5.6", tools=True) == ("none",)
    assert OPENAI.efforts_of("gpt-5.2", tools=True) != ("none",)


@pytest.mark.parametrize(
    ("model", "thinking", "sampling", "max_tokens"),
    [
        ("claude-3-haiku-20240307", "none", "all", 4096),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "none", "all", 8192),
        ("claude-3-7-sonnet-latest", "budget", "all", 32_000),
        ("claude-sonnet-4-20250514", "budget", "all", 32_000),
        ("claude-opus-4-0", "budget", "all", 32_000),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", "budget", "one", 32_000),
        ("anthropic/claude-sonnet-4.5", "budget", "one", 32_000),
        ("claude-haiku-4-5@20251001", "budget", "one", 32_000),
        ("claude-sonnet-4-6", "adaptive", "one", 32_000),
        ("claude-opus-4-7", "adaptive", "none", 32_000),
        ("claude-opus-5", "adaptive", "none", 32_000),
        ("claude-fable-5-20260601", "adaptive", "none", 32_000),
        ("claude-fable-5-2", "adaptive", "none", 32_000),
        ("claude-mythos-5-2", "adaptive", "none", 32_000),
        ("us.anthropic.claude-opus-5-5", "adaptive", "none", 32_000),
        ("claude-haiku-5-5", "adaptive", "none", 32_000),
        ("claude-mythos-preview", "adaptive", "one", 32_000),
        ("my-alias", "adaptive", "one", 32_000),
    ],
)
def test_claude_models(model: str, thinking: str, sampling: str, max_tokens: int) -> None:
    """In each spelling that providers use."""
    knows = claude(model)
    assert (knows.thinking, knows.sampling, knows.max_tokens) == (thinking, sampling, max_tokens)


@pytest.mark.parametrize("model", sorted({m for one in ModelParam.__args__ for m in getattr(one, "__args__", ())}))
def test_each_model_of_the_sdk_has_a_row(model: str) -> None:
    """None is guessed: a new name fails here until its row is there."""
    assert any(pattern.search(model) for pattern, _ in PATTERNS)
