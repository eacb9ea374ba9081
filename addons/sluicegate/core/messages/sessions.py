"""How clients name their sessions: the only place that knows.

    Claude Code           x-claude-code-session-id; metadata.user_id, a JSON string with session_id (or `…_session_<id>`)
    opencode 1.18         x-session-id, x-session-affinity
    Codex 0.171           session-id, thread-id; prompt_cache_key in the body
    OpenAI's SDKs         prompt_cache_key, safety_identifier in the body
    LangChain, AI SDK     session_id, thread_id or conversation_id in metadata, in snake case or camel case

(docs.langchain.com/langsmith/threads, platform.openai.com "Prompt caching", "Safety best practices".) Names come from
clients: each is bounded and safe to log (`clean`), and state that is kept by one is kept apart by client.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

__all__ = ["GROUP_FIELDS", "METADATA_KEYS", "HasFields", "Named", "clean", "session_in_body", "session_in_headers"]

_HEADERS: Final = (b"x-claude-code-session-id", b"x-session-id", b"x-session-affinity", b"session-id", b"thread-id")
_RANK: Final = {name: rank for rank, name in enumerate(_HEADERS)}
METADATA_KEYS: Final = ("session_id", "sessionId", "thread_id", "threadId", "conversation_id", "conversationId")
GROUP_FIELDS: Final = ("prompt_cache_key", "safety_identifier")
"""Fields of the body that may name more than one conversation: all that share a prompt, all of one user."""
_OLD_USER_ID: Final = re.compile(r"_session_([0-9a-fA-F-]{8,64})$")
_MAX: Final = 128


class HasFields(Protocol):
    """Headers as they came."""

    @property
    def fields(self) -> Sequence[tuple[bytes, bytes]]: ...


class Named(NamedTuple):
    """What a body says about its session."""

    session: str | None = None
    """The name of one conversation."""
    group: str | None = None
    """A name that several conversations may share."""


def session_in_headers(headers: HasFields | Mapping[str, str]) -> str | None:
    """The session that a header names; of several, the first in the order of the table."""
    best, found = len(_RANK), None
    for name, value in _fields(headers):  # one pass: most requests have no such header
        rank = _RANK.get(name.lower(), best)
        if rank < best and (session := clean(value.decode("utf-8", "surrogateescape"))):
            best, found = rank, session
    return found


def _fields(headers: HasFields | Mapping[str, str]) -> Iterable[tuple[bytes, bytes]]:
    raw: Iterable[tuple[bytes, bytes]] | None = getattr(headers, "fields", None)
    if raw is not None:
        return raw
    assert isinstance(headers, Mapping)
    return ((name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in headers.items())


def session_in_body(metadata: object, groups: Mapping[str, object]) -> Named:
    """The session that the members of a body name. `groups`: its fields of GROUP_FIELDS."""
    found = None
    if isinstance(metadata, dict):
        user_id = metadata.get("user_id")
        found = _session_of_user(user_id) if isinstance(user_id, str) else None
        found = found or next((name for key in METADATA_KEYS if (name := _named(metadata.get(key)))), None)
    return Named(found, next((name for key in GROUP_FIELDS if (name := _named(groups.get(key)))), None))


def _session_of_user(user_id: str) -> str | None:
    if user_id.startswith("{"):
        try:
            value = msgspec.json.decode(user_id.encode("utf-8", "replace"))
        except (msgspec.DecodeError, RecursionError):
            return None
        return _named(value.get("session_id")) if isinstance(value, dict) else None
    m = _OLD_USER_ID.search(user_id)
    return m[1] if m else None


def _named(value: object) -> str | None:
    return clean(value) if isinstance(value, str) else None


def clean(text: str) -> str | None:
    """An identifier that is safe to log: printable ASCII, at most 128 characters; None if nothing is left."""
    kept = "".join(c for c in text[:_MAX] if "!" <= c <= "~")
    return kept or None
