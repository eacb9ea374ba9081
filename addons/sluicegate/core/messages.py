"""What a Messages request says of itself, and which surface a path belongs to."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol
from urllib.parse import unquote

import msgspec

__all__ = ["RequestFacts", "Surface", "agent_of", "read_request", "rename_model", "session_of", "surface"]

Surface = Literal["messages", "count_tokens", "models", "other"]


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """The fields of a request that the gate acts on; None where absent or of a wrong type."""

    model: str | None = None
    stream: bool = False
    max_tokens: int | None = None
    user_id: str | None = None
    session_id: str | None = None


class _Head(msgspec.Struct):
    model: Any = None
    stream: Any = None
    max_tokens: Any = None
    metadata: Any = None


_DECODER: Final = msgspec.json.Decoder(_Head)
_OLD_USER_ID: Final = re.compile(r"_session_([0-9a-fA-F-]{8,64})$")


def read_request(body: bytes) -> RequestFacts | None:
    """Read a request body; None where it is no JSON object. Of duplicate keys the last counts."""
    try:
        head = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        lenient = _lenient(body)
        if lenient is None:
            return None
        head = lenient
    user_id = head.metadata.get("user_id") if isinstance(head.metadata, dict) else None
    user_id = user_id if isinstance(user_id, str) else None
    return RequestFacts(
        model=head.model if isinstance(head.model, str) else None,
        stream=head.stream is True,
        max_tokens=head.max_tokens if type(head.max_tokens) is int else None,
        user_id=user_id,
        session_id=_session(user_id) if user_id else None,
    )


def _lenient(body: bytes) -> _Head | None:
    try:
        value = json.loads(body.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return _Head(*(value.get(k) for k in _Head.__struct_fields__))


def _session(user_id: str) -> str | None:
    if user_id.startswith("{"):
        try:
            value = msgspec.json.decode(user_id.encode("utf-8", "replace"))
        except (msgspec.DecodeError, RecursionError):
            return None
        found = value.get("session_id") if isinstance(value, dict) else None
        return clean(found) if isinstance(found, str) else None
    m = _OLD_USER_ID.search(user_id)
    return m[1] if m else None


def rename_model(body: bytes, model: str) -> bytes:
    """The same request for another model: every other value keeps its bytes, every key its place.

    ValueError where the body is no JSON object.
    """
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise ValueError("the body is no JSON object") from e
    fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    return msgspec.json.encode(fields)


class _Headers(Protocol):
    def get(self, key: str, default: Any = None, /) -> Any: ...


def session_of(headers: _Headers | Mapping[str, str], facts: RequestFacts | None) -> str | None:
    """The session: Claude Code's header, else `metadata.user_id`."""
    given = headers.get("x-claude-code-session-id")
    return (clean(given) if given else None) or (facts.session_id if facts else None)


def agent_of(headers: _Headers | Mapping[str, str]) -> str | None:
    """The sub-agent that sent the request, if Claude Code names one."""
    given = headers.get("x-claude-code-agent-id")
    return clean(given) if given else None


def clean(text: str) -> str | None:
    """An identifier fit for a log: printable ASCII, at most 128 characters; None where nothing is left."""
    kept = "".join(c for c in text[:128] if "!" <= c <= "~")
    return kept or None


_SURFACES: Final[dict[tuple[str, ...], Surface]] = {
    ("v1", "messages"): "messages",
    ("v1", "messages", "count_tokens"): "count_tokens",
    ("v1", "models"): "models",
}
_PLAIN: Final[dict[str, Surface]] = {"/v1/messages": "messages", "/v1/messages/count_tokens": "count_tokens"}


def surface(method: str, path: str) -> Surface:
    """Which surface a request belongs to.

    Told from the normalised path (percent-decoded, slashes and dot segments collapsed, any prefix before /v1 ignored), so
    that no spelling of an inference call that a lenient server would accept passes as `other`.
    """
    bare = path.partition("?")[0]
    found = _PLAIN.get(bare) or _classify(bare)
    if found in ("messages", "count_tokens"):
        return found if method.upper() == "POST" else "other"
    return found


def _classify(bare: str) -> Surface:
    for _ in range(3):
        decoded = unquote(bare)
        if decoded == bare:
            break
        bare = decoded
    parts: list[str] = []
    for part in bare.partition("#")[0].partition(";")[0].replace("\\", "/").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part.strip())
    lowered = [p.lower() for p in parts]
    for start, part in enumerate(lowered):
        if part == "v1" and (found := _SURFACES.get(tuple(lowered[start:]))):
            return found
    if lowered[-3:-1] == ["v1", "models"]:
        return "models"
    return "other"
