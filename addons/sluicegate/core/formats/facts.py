"""What a request says of itself, whatever surface it came in by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import msgspec

from sluicegate.core.formats.bedrock import codec as bedrock
from sluicegate.core.formats.surfaces import INFERENCE, Surface
from sluicegate.core.formats.vertex import codec as vertex
from sluicegate.core.messages.facts import RequestFacts, read_request, rename_model
from sluicegate.core.wire.json_object import loads, top

__all__ = ["read_facts", "readable_body", "renamed", "sendable_body", "wants_usage"]

_MAX_MODEL: Final = 256


def read_facts(surface: Surface, path: str, body: bytes) -> RequestFacts | None:
    """The facts of an inference request; None where its body is no JSON object, or its surface no inference surface.

    Bedrock and Vertex name the model in the path, and Bedrock says there whether it streams.
    """
    if surface not in INFERENCE:
        return None
    facts = read_request(readable_body(surface, body))
    if facts is None:
        return None
    match surface:
        case "chat_completions":
            return _of_chat(facts, body)
        case "bedrock" | "bedrock_count":
            asked = bedrock.read_path(path)
            return replace(facts, model=_model(asked.model), stream=asked.stream) if asked else facts
        case "vertex":
            named = vertex.read_path(path)
            return replace(facts, model=_model(named.model)) if named else facts
    return facts


def readable_body(surface: Surface, body: bytes) -> bytes:
    """The document that holds the conversation: Bedrock's CountTokens wraps it up."""
    return (bedrock.counted_body(body) or body) if surface == "bedrock_count" else body


def sendable_body(surface: Surface, body: bytes) -> bytes:
    """The way back from `readable_body`."""
    return bedrock.count_request(body) if surface == "bedrock_count" else body


def renamed(surface: Surface, path: str, body: bytes, model: str) -> tuple[str, bytes]:
    """The same request, path and body, for another model. ValueError where it names none, or is no JSON object."""
    match surface:
        case "bedrock" | "bedrock_count":
            return bedrock.path_for(path, model), body
        case "vertex":
            return vertex.path_for(path, model), body
    return path, rename_model(body, model)


def _model(name: str) -> str:
    return name[:_MAX_MODEL].encode("utf-8", "replace").decode()


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


def _of_chat(facts: RequestFacts, body: bytes) -> RequestFacts:
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
