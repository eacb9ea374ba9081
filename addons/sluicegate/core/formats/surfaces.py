"""Which client format a request is in, by its method and path: the only reader of paths for that question.

What a request may do, and whose key goes with it, follows from the answer. The formats give their rows (path_endings.py);
this file looks through every spelling of a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import unquote

from sluicegate.core.formats.client_format import ClientFormat
from sluicegate.core.formats.messages.format import MESSAGES
from sluicegate.core.formats.no_conversation import OTHER
from sluicegate.core.formats.other_apis import other_at
from sluicegate.core.formats.path_endings import Action, Item, PathEnding, Tail, Verb
from sluicegate.core.formats.registry import ALL, FORMATS

__all__ = ["format_at", "is_inference_path"]

_ROWS: Final[tuple[tuple[PathEnding, ClientFormat], ...]] = tuple((row, f) for f in ALL for row in f.paths)
_TAILS: Final = {row.segments: f for row, f in _ROWS if isinstance(row, Tail)}
_ITEMS: Final = {row.segments: f for row, f in _ROWS if isinstance(row, Item)}
_ACTIONS: Final = {row.name: (row.collection, f) for row, f in _ROWS if isinstance(row, Action)}
_VERBS: Final = {(row.id, row.name): (row.collection, f) for row, f in _ROWS if isinstance(row, Verb)}
_TAIL_DEPTHS: Final = sorted({len(segments) for segments in _TAILS})
_ITEM_DEPTHS: Final = sorted({len(segments) for segments in _ITEMS})
_USUAL: Final = {f.usual_path: f for f in FORMATS if f.usual_path}

_STRICTEST: Final = tuple(f for kind in ("answers", "counts", "none") for f in ALL if f.kind == kind)


def _words(formats: Iterable[ClientFormat]) -> re.Pattern[str]:
    words = {row.word for f in formats for row in f.paths}
    shortest = (word for word in words if not any(other in word for other in words - {word}))
    return re.compile("|".join(map(re.escape, sorted(shortest))), re.IGNORECASE)


_INFERENCE_WORDS: Final = _words(FORMATS)
"""A path without any of them, in whatever case, is not an inference call."""
_ANY_WORDS: Final = _words(ALL)


def format_at(method: str, path: str) -> ClientFormat:
    """The format of a request, by its method and its path (the query does not count).

    Servers differ in how they read an odd path: percent-decoding (once, more often, before or after the split into
    segments), dot segments, empty segments, `;parameters`, backslashes, case, a prefix before `/v1`. The path is read in
    all these ways, and the strictest format of them holds: no spelling of an inference call that some server would
    accept passes as OTHER (which here includes the other APIs' forms of it, see other_apis.py).
    """
    bare = path.partition("?")[0]
    found = _USUAL.get(bare) or _widest(bare)
    if found is OTHER or (found.inference and method.upper() != "POST"):
        return other_at(bare)
    return found


def is_inference_path(path: str) -> bool:
    """Whether a POST to this path would be inference."""
    return format_at("POST", path).inference


_MAX_PATH: Final = 2048
_MAX_SEGMENTS: Final = 32
_MAX_DECODINGS: Final = 4
_PATH_END: Final = re.compile(r"[?#\0]")
_SEGMENT_END: Final = re.compile(r"[?#\0;]")


def _widest(path: str) -> ClientFormat:
    if len(path) > _MAX_PATH:  # longer than any real path: what may be a hidden call is taken for one
        return MESSAGES if "%" in path or _INFERENCE_WORDS.search(path) else OTHER
    texts = [path]
    while len(texts) <= _MAX_DECODINGS and (decoded := unquote(texts[-1])) != texts[-1]:
        texts.append(decoded)
    if len(texts) > _MAX_DECODINGS and unquote(texts[-1]) != texts[-1]:
        return MESSAGES  # encoded more often than any real path
    last = texts[-1].lower()
    if not _ANY_WORDS.search(last):
        return OTHER
    if last.count("/") + last.count("\\") > _MAX_SEGMENTS:
        return MESSAGES  # more segments than any real path has: too many ways to read it
    found = {_named(parts) for segments in _splits(texts) for parts in _resolved(segments)}
    return next(f for f in _STRICTEST if f in found)


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


def _named(parts: list[str]) -> ClientFormat:
    for depth in _TAIL_DEPTHS:
        if found := _TAILS.get(tuple(parts[-depth:])):
            return found
    if not parts:
        return OTHER
    last = parts[-1]
    id, _, verb = last.rpartition(":")
    action = _ACTIONS.get(last)
    if action and action[0] in parts[:-2]:
        return action[1]
    action = _VERBS.get((id, verb)) or _VERBS.get(("", verb))
    if action and action[0] in parts[:-1]:
        return action[1]
    items = (_ITEMS.get(tuple(parts[-depth - 1 : -1])) for depth in _ITEM_DEPTHS)
    return next(filter(None, items), OTHER)
