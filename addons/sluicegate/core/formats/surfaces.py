"""Which surface (client API) a request belongs to, by its method and path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal
from urllib.parse import unquote

__all__ = ["ANSWERS", "COUNTS", "INFERENCE", "Surface", "surface"]


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
