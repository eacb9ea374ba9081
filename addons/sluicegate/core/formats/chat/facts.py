"""What a Chat Completions request says of itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import msgspec

from sluicegate.core.messages.facts import RequestFacts, read_request
from sluicegate.core.wire.json_object import loads, top

__all__ = ["read_facts", "wants_usage"]


class _Chat(msgspec.Struct):
    max_completion_tokens: Any = None
    user: Any = None
    safety_identifier: Any = None
    stream_options: Any = None


_CHAT: Final = msgspec.json.Decoder(_Chat)


def _chat(body: bytes) -> _Chat:
    try:
        return _CHAT.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        fields = top(body) or {}
        return _Chat(*(loads(fields[k]) if k in fields else None for k in _Chat.__struct_fields__))


def read_facts(path: str, body: bytes) -> RequestFacts | None:
    facts = read_request(body)
    if facts is None:
        return None
    chat = _chat(body)
    most = chat.max_completion_tokens
    user = next((u for u in (chat.safety_identifier, chat.user) if isinstance(u, str) and u), None)
    return replace(
        facts,
        max_tokens=most if type(most) is int else facts.max_tokens,
        user_id=user.encode("utf-8", "replace").decode() if user else facts.user_id,
    )


def wants_usage(body: bytes) -> bool:
    """Whether a Chat Completions request asks for the usage chunk at the end of its stream."""
    options = _chat(body).stream_options
    return isinstance(options, dict) and options.get("include_usage") is True
