"""core/messages/sessions.py: how clients name their sessions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http

from sluicegate.core.formats.surfaces import format_at
from sluicegate.core.messages.facts import conversation_of, read_request, session_of

CLIENTS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "Claude Code": ({"X-Claude-Code-Session-Id": "s-1"}, {}),
    "Claude Code by its body": ({}, {"metadata": {"user_id": '{"session_id":"s-1"}'}}),
    "opencode": ({"x-session-id": "s-1"}, {}),
    "opencode, for OpenAI": ({"x-session-affinity": "s-1"}, {}),
    "Codex": ({"session-id": "s-1", "thread-id": "t-1"}, {"prompt_cache_key": "t-1"}),
    "Codex, a thread": ({"thread-id": "s-1"}, {"prompt_cache_key": "other"}),
    "LangChain": ({}, {"metadata": {"session_id": "s-1"}}),
    "LangChain, a thread": ({}, {"metadata": {"thread_id": "s-1", "user": "jo"}}),
    "LangChain, a conversation": ({}, {"metadata": {"conversation_id": "s-1"}}),
    "AI SDK": ({}, {"metadata": {"user_id": "jo", "sessionId": "s-1"}}),
    "AI SDK, a thread": ({}, {"metadata": {"threadId": "s-1"}}),
}
GROUPS: dict[str, dict[str, Any]] = {
    "a prompt's cache key": {"prompt_cache_key": "s-1"},
    "a user": {"safety_identifier": "s-1"},
    "the cache key goes first": {"safety_identifier": "jo", "prompt_cache_key": "s-1"},
}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
@pytest.mark.parametrize("name", CLIENTS)
def test_how_clients_name_a_session(name: str, path: str) -> None:
    """By a header or in the body, whichever API they speak."""
    headers, body = CLIENTS[name]
    facts = format_at("POST", path).read_facts(path, msgspec.json.encode(body))
    assert session_of(http.Headers(**headers), facts) == "s-1"
    assert conversation_of(http.Headers(**headers), facts) == "s-1"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
@pytest.mark.parametrize("name", GROUPS)
def test_names_that_conversations_may_share(name: str, path: str) -> None:
    """They are the session if nothing else is, but never name a conversation."""
    facts = format_at("POST", path).read_facts(path, msgspec.json.encode(GROUPS[name]))
    assert session_of(http.Headers(), facts) == "s-1"
    assert conversation_of(http.Headers(), facts) is None
    assert session_of(http.Headers(thread_id="t"), facts) == "t"


@pytest.mark.parametrize(
    ("fields", "session"),
    [
        ([(b"thread-id", b"t"), (b"x-claude-code-session-id", b"c"), (b"session-id", b"s")], "c"),
        ([(b"session-id", b"\xff\x00"), (b"thread-id", b"t")], "t"),
        ([(b"session-id", b"a" * 100_000)], "a" * 128),
        ([(b"session-id", b"a\r\nb \x1b[31m")], "ab[31m"),
        ([(b"session-id", b"one"), (b"session-id", b"two")], "one"),
        ([(b"session", b"s"), (b"my-session-id", b"s")], None),
        ([], None),
    ],
)
def test_headers_are_bounded(fields: list[tuple[bytes, bytes]], session: str | None) -> None:
    """In the order of the table, each cleaned; what is empty then does not count."""
    assert session_of(http.Headers(fields), None) == session


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text() | st.sampled_from(["{", "_session_00000000"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
KEYS = ["user_id", "session_id", "sessionId", "thread_id", "conversation_id"]


@given(st.dictionaries(st.sampled_from(KEYS), json_values) | json_values, json_values, json_values)
def test_whatever_a_client_sends_is_safe_to_log(metadata: Any, key: Any, user: Any) -> None:
    """Printable ASCII, at most 128 characters, or nothing; it never fails."""
    body = {"metadata": metadata, "prompt_cache_key": key, "safety_identifier": user}
    found = session_of({}, read_request(msgspec.json.encode(body)))
    assert found is None or (0 < len(found) <= 128 and all("!" <= c <= "~" for c in found))
