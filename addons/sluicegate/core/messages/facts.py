"""Facts of a Messages request: model, stream, session, agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from sluicegate.core.messages.sessions import GROUP_FIELDS, HasFields, clean, session_in_body, session_in_headers
from sluicegate.core.wire.json_object import (
    loads,
    members,
    top,
    utf8,
)

__all__ = ["RequestFacts", "agent_of", "conversation_of", "model_in_path", "read_request", "rename_model", "session_of"]


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """The fields of a request that the gate acts on; None if absent or of a wrong type."""

    model: str | None = None
    stream: bool = False
    max_tokens: int | None = None
    user_id: str | None = None
    session_id: str | None = None
    group_id: str | None = None
    """A name that several conversations may share (`GROUP_FIELDS`)."""


class _Head(msgspec.Struct):
    model: Any = None
    stream: Any = None
    max_tokens: Any = None
    metadata: Any = None
    prompt_cache_key: Any = None
    safety_identifier: Any = None


_DECODER: Final = msgspec.json.Decoder(_Head)
_MAX_MODEL: Final = 256


def read_request(body: bytes) -> RequestFacts | None:
    """Read a request body; None unless it is a JSON object. The last of duplicate keys counts.

    As lenient as the most lenient server: lone surrogates, stray bytes, NaN, any depth, a byte order mark.
    """
    try:
        head = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        lenient = _lenient(body)
        if lenient is None:
            return None
        head = lenient
    user_id = _text(head.metadata.get("user_id")) if isinstance(head.metadata, dict) else None
    model = _text(head.model)
    named = session_in_body(head.metadata, {key: getattr(head, key) for key in GROUP_FIELDS})
    return RequestFacts(
        model=model[:_MAX_MODEL] if model is not None else None,
        stream=head.stream is True,
        max_tokens=head.max_tokens if type(head.max_tokens) is int else None,
        user_id=user_id,
        session_id=named.session,
        group_id=named.group,
    )


def model_in_path(name: str) -> str:
    """A model's name out of a path, as the facts have it."""
    return name[:_MAX_MODEL].encode("utf-8", "replace").decode()


def _text(value: object) -> str | None:
    """Text that can be encoded: lone surrogates become question marks."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def _lenient(body: bytes) -> _Head | None:
    fields = top(body)
    if fields is None:
        return None
    return _Head(*(loads(fields[k]) if k in fields else None for k in _Head.__struct_fields__))


def rename_model(body: bytes, model: str) -> bytes:
    """The same request for another model: every other value keeps its bytes, every key its place.

    Raises ValueError unless the body is a JSON object.
    """
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _rename_lenient(utf8(body), msgspec.json.encode(model))
    fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    return msgspec.json.encode(fields)


def _rename_lenient(body: bytes, model: bytes) -> bytes:
    found = members(body)
    if found is None:
        raise ValueError("the body is not a JSON object")
    spans = [(start, end) for key, start, end in found if key == "model"]
    if not spans:
        at = body.index(b"{") + 1
        return body[:at] + b'"model":' + model + (b"," if found else b"") + body[at:]
    for start, end in reversed(spans):
        body = body[:start] + model + body[end:]
    return body


def session_of(headers: HasFields | Mapping[str, str], facts: RequestFacts | None) -> str | None:
    """The session, by which a key is kept, cost is added up and loops are noticed: one conversation, else a group."""
    return conversation_of(headers, facts) or (facts.group_id if facts else None)


def conversation_of(headers: HasFields | Mapping[str, str], facts: RequestFacts | None) -> str | None:
    """The session, if its name is that of one conversation."""
    return session_in_headers(headers) or (facts.session_id if facts else None)


class _HasGet(Protocol):
    def get(self, key: str, default: Any = None, /) -> Any: ...


def agent_of(headers: _HasGet | Mapping[str, str]) -> str | None:
    """The sub-agent that sent the request, if Claude Code names one."""
    given = headers.get("x-claude-code-agent-id")
    return clean(given) if given else None
