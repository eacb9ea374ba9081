"""What a Messages request says of itself, and which surface a path belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol
from urllib.parse import unquote

import msgspec

from sluicegate.core.members import loads, members, top, utf8

__all__ = [
    "ANSWERS",
    "COUNTS",
    "INFERENCE",
    "RequestFacts",
    "Surface",
    "agent_of",
    "read_request",
    "rename_model",
    "session_of",
    "surface",
]

Surface = Literal[
    "messages",
    "count_tokens",
    "chat_completions",
    "bedrock",
    "bedrock_count",
    "vertex",
    "vertex_count",
    "models",
    "other",
]
"""What a path is for. bedrock: InvokeModel, streamed or not. vertex: rawPredict and streamRawPredict."""

ANSWERS: Final[frozenset[Surface]] = frozenset({"messages", "chat_completions", "bedrock", "vertex"})
COUNTS: Final[frozenset[Surface]] = frozenset({"count_tokens", "bedrock_count", "vertex_count"})
INFERENCE: Final[frozenset[Surface]] = ANSWERS | COUNTS
"""The surfaces whose bodies hold a conversation; all others are paths of no concern to most stages."""


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
_MAX_MODEL: Final = 256


def read_request(body: bytes) -> RequestFacts | None:
    """Read a request body; None where it is no JSON object. Of duplicate keys the last counts.

    Reads what a lenient server would read, too: lone surrogates, stray bytes, NaN, any depth, a byte order mark.
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
    return RequestFacts(
        model=model[:_MAX_MODEL] if model is not None else None,
        stream=head.stream is True,
        max_tokens=head.max_tokens if type(head.max_tokens) is int else None,
        user_id=user_id,
        session_id=_session(user_id) if user_id else None,
    )


def _text(value: object) -> str | None:
    """Text fit to be written down: lone surrogates, which no encoder takes, become question marks."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def _lenient(body: bytes) -> _Head | None:
    fields = top(body)
    if fields is None:
        return None
    return _Head(*(loads(fields[k]) if k in fields else None for k in _Head.__struct_fields__))


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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _rename_lenient(utf8(body), msgspec.json.encode(model))
    fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    return msgspec.json.encode(fields)


def _rename_lenient(body: bytes, model: bytes) -> bytes:
    found = members(body)
    if found is None:
        raise ValueError("the body is no JSON object")
    spans = [(start, end) for key, start, end in found if key == "model"]
    if not spans:
        at = body.index(b"{") + 1
        return body[:at] + b'"model":' + model + (b"," if found else b"") + body[at:]
    for start, end in reversed(spans):
        body = body[:start] + model + body[end:]
    return body


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
    ("chat", "completions"): "chat_completions",
    ("v1", "models"): "models",
}
_ACTIONS: Final[dict[str, Surface]] = {
    "invoke": "bedrock",
    "invoke-with-response-stream": "bedrock",
    "count-tokens": "bedrock_count",
}
"""The end of `/model/{id}/…`; an id that is an ARN may hold slashes."""
_VERBS: Final[dict[str, Surface]] = {"rawpredict": "vertex", "streamrawpredict": "vertex"}
"""The end of `…/models/{id}:…`."""
_PLAIN: Final[dict[str, Surface]] = {
    "/v1/messages": "messages",
    "/v1/messages/count_tokens": "count_tokens",
    "/v1/chat/completions": "chat_completions",
}


def surface(method: str, path: str) -> Surface:
    """Which surface a request belongs to, by its method and its path (the query does not count).

    Servers differ in how they read an odd path: percent-decoding (once, more often, before or after the split into
    segments), dot segments, empty segments, `;parameters`, backslashes, case, a prefix before `/v1`. The path is read in
    all these ways, and the strictest surface of them holds: no spelling of an inference call that some server would
    accept passes as `other`.
    """
    bare = path.partition("?")[0]
    found = _PLAIN.get(bare) or _widest(bare)
    if found in INFERENCE:
        return found if method.upper() == "POST" else "other"
    return found


_STRICTEST: Final[tuple[Surface, ...]] = (
    "messages",
    "chat_completions",
    "bedrock",
    "vertex",
    "count_tokens",
    "bedrock_count",
    "vertex_count",
    "models",
    "other",
)
_WORDS: Final = re.compile(r"messages|completions|invoke|count-tokens|rawpredict", re.IGNORECASE)
"""A path without any of them, in whatever case, is no inference call."""
_MAX_PATH: Final = 2048
_MAX_SEGMENTS: Final = 32
_MAX_DECODINGS: Final = 4
_PATH_END: Final = re.compile(r"[?#\0]")
_SEGMENT_END: Final = re.compile(r"[?#\0;]")


def _widest(path: str) -> Surface:
    if len(path) > _MAX_PATH:  # longer than any real path: what may be a hidden call is taken for one
        return "messages" if "%" in path or _WORDS.search(path) else "other"
    texts = [path]
    while len(texts) <= _MAX_DECODINGS and (decoded := unquote(texts[-1])) != texts[-1]:
        texts.append(decoded)
    if len(texts) > _MAX_DECODINGS and unquote(texts[-1]) != texts[-1]:
        return "messages"  # encoded more often than any real path
    last = texts[-1].lower()
    if not _WORDS.search(last) and "models" not in last:
        return "other"
    if last.count("/") + last.count("\\") > _MAX_SEGMENTS:
        return "messages"  # more segments than any real path has: too many ways to read it
    found = {_named(parts) for segments in _splits(texts) for parts in _resolved(segments)}
    return next(s for s in _STRICTEST if s in found)


def _splits(texts: list[str]) -> set[tuple[str, ...]]:
    """A path's segments, in each way that a server may split them. `texts`: the path, decoded ever further."""
    found: set[tuple[str, ...]] = set()
    for text in texts:
        for cut in {text, _PATH_END.split(text, maxsplit=1)[0], text.partition(";")[0]}:
            for slashed in {cut, cut.replace("\\", "/")}:
                segments = tuple(slashed.split("/"))
                found.add(segments)
                if "%" in slashed:  # decoded after the split: %2F makes no segment
                    found.add(tuple(unquote(s) for s in segments))
    found |= {tuple(_SEGMENT_END.split(s, maxsplit=1)[0] for s in segments) for segments in found}
    return {tuple(s.strip().lower() for s in segments) for segments in found}


def _resolved(segments: tuple[str, ...]) -> Iterator[list[str]]:
    """Without dot segments: where `..` takes an empty segment (RFC 3986, 5.2.4), and where slashes collapse first."""
    for collapse in (False, True):
        parts: list[str] = []
        for part in segments:
            if part == "..":
                del parts[-1:]
            elif part != "." and (part or not collapse):
                parts.append(part)
        yield [p for p in parts if p]


def _named(parts: list[str]) -> Surface:
    for depth in (2, 3):
        if found := _SURFACES.get(tuple(parts[-depth:])):
            return found
    if parts and (found := _ACTIONS.get(parts[-1])) and "model" in parts[:-2]:
        return found
    if parts and (found := _VERBS.get(parts[-1].rpartition(":")[2])) and "models" in parts[:-1]:
        return "vertex_count" if parts[-1] == "count-tokens:rawpredict" else found
    return "models" if parts[-3:-1] == ["v1", "models"] else "other"
