"""Copilot: only with consent, its token only to GitHub's hosts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from sluicegate.core.errors import Refused
from sluicegate.providers.auth.held_keys import CredentialError
from sluicegate.providers.base import SigningInput
from sluicegate.providers.context import ProviderContext
from sluicegate.providers.copilot import (
    EXCHANGE,
    LOGIN_FILE,
    Copilot,
    dotted,
    initiator,
    is_githubs,
)
from sluicegate.settings.providers import Provider as Settings
from sluicegate.settings.secret import Secret

NOW = 1000.0
ANSWER = {
    "token": "tid=1",
    "expires_at": 2800,
    "refresh_in": 1500,
    "endpoints": {"api": "https://api.business.githubcopilot.com"},
}


class Fetched:
    """Stands in for the network."""

    def __init__(self, answer: Any = ANSWER) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Any]] = []

    def __call__(self, url: str, **how: Any) -> Any:
        self.asked.append((url, how))
        return self.answer


def copilot(fetch: Fetched | None = None, **more: Any) -> Copilot:
    settings = Settings(kind="copilot", consent=True, token=Secret("env:GH"))
    return Copilot(ProviderContext("c", settings, {"GH": "gho_1"}, clock=lambda: NOW, **more), fetch or Fetched())


def sent(host: str, tls: bool = True) -> SigningInput:
    return SigningInput("POST", tls, host, host, "/", (), b"", NOW)


def test_not_without_consent() -> None:
    """And with it, the operator is told what it is."""
    with pytest.raises(ValueError, match="consent"):
        Copilot(ProviderContext("c", Settings(kind="copilot"), {}))
    assert copilot().warning
    for word in ("unofficial", "not supported by GitHub", "terms", "suspended", "own account only"):
        assert word in str(copilot().warning)


def test_the_login_is_exchanged() -> None:
    """At GitHub, for a token and the host that it is for."""
    fetch = Fetched()
    p = copilot(fetch)
    assert p.origin().host == "api.githubcopilot.com"
    (source,) = p.sources
    asyncio.run(source.ready())
    ((url, how),) = fetch.asked
    assert (url, how["headers"]["authorization"]) == (EXCHANGE, "token gho_1")
    assert p.origin().host == "api.business.githubcopilot.com"
    assert source.fields(sent("api.business.githubcopilot.com")) == ((b"authorization", b"Bearer tid=1"),)


@pytest.mark.parametrize("host", ["evil.example", "githubcopilot.com.evil.example", "evilgithubcopilot.com", "127.0.0.1"])
def test_its_token_goes_to_github_only(host: str) -> None:
    """By no configuration to any other host, and never without TLS."""
    (source,) = copilot().sources
    asyncio.run(source.ready())
    assert not is_githubs(host)
    for bad in (sent(host), sent("api.githubcopilot.com", tls=False)):
        with pytest.raises(CredentialError):
            source.fields(bad)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"token": "", "expires_at": 2800},
        {"token": "t", "expires_at": "2800"},
        {**ANSWER, "endpoints": {"api": "https://evil.example"}},
        {**ANSWER, "endpoints": {"api": "http://api.githubcopilot.com"}},
        {**ANSWER, "endpoints": {"api": "nonsense"}},
    ],
)
def test_answers_that_are_none(answer: Any) -> None:
    """Refused, and the login is not in the words."""
    (source,) = copilot(Fetched(answer)).sources
    with pytest.raises(Refused) as caught:
        asyncio.run(source.ready())
    assert "gho_1" not in str(caught.value)


def test_a_kept_login(tmp_path: Path) -> None:
    """What `sluicegate copilot login` left behind; without one it is said what to do."""
    settings = Settings(kind="copilot", consent=True)
    fetch = Fetched()
    p = Copilot(ProviderContext("c", settings, {}, state_dir=tmp_path, clock=lambda: NOW), fetch)
    with pytest.raises(Refused, match="sluicegate copilot login"):
        asyncio.run(p.sources[0].ready())
    (tmp_path / LOGIN_FILE).write_text("gho_2\n")
    p = Copilot(ProviderContext("c", settings, {}, state_dir=tmp_path, clock=lambda: NOW), fetch)
    asyncio.run(p.sources[0].ready())
    assert fetch.asked[0][1]["headers"]["authorization"] == "token gho_2"


def test_claude_models_are_asked_in_the_messages_apis_words(asked) -> None:
    """By Copilot's name for them; others in Chat Completions'."""
    prepared = copilot().prepare(asked(model="claude-sonnet-4-5-20250929"))
    fields = dict(prepared.fields)
    assert (prepared.path, json.loads(prepared.body)["model"]) == ("/v1/messages", "claude-sonnet-4.5")
    assert (fields[b"openai-intent"], fields[b"copilot-integration-id"]) == (b"messages-proxy", b"vscode-chat")
    other = copilot().prepare(asked(), model="gpt-5")
    assert (other.path, json.loads(other.body)["model"]) == ("/chat/completions", "gpt-5")
    chat = copilot().prepare(asked("chat_completions"), model="gpt-5")
    assert chat.path == "/chat/completions"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4.5"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("claude-opus-4-1", "claude-opus-4.1"),
        ("claude-3-7-sonnet-20250219", "claude-3.7-sonnet"),
        ("claude-sonnet-4.5", "claude-sonnet-4.5"),
        ("gpt-5-1", "gpt-5-1"),
    ],
)
def test_names(name: str, expected: str) -> None:
    """Dots, and no dates."""
    assert dotted(name) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("hi", "user"),
        ([{"type": "tool_result"}], "agent"),
        ([{"type": "tool_result"}, {"type": "text"}], "user"),
        ([], "user"),
    ],
)
def test_who_began(content: Any, expected: str) -> None:
    """Results of tools alone: the agent went on by itself."""
    assert initiator(json.dumps({"messages": [{"role": "user", "content": content}]}).encode()) == expected
    assert initiator(b"nonsense") == "user"
