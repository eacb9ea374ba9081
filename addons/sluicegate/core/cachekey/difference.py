"""Where two requests first differ: what `sluicegate cache key --diff` shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

__all__ = ["Difference", "first_difference"]

_SHOWN: Final = 60
_BEFORE: Final = 15
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """`path` as in `messages[2].content[0].text`; the values as JSON, cut to the part around the difference."""

    path: str
    left: str
    right: str


def first_difference(left: Any, right: Any, path: str = "") -> Difference | None:
    """The first difference between two JSON values in document order; None if they are equal."""
    if isinstance(left, dict) and isinstance(right, dict):
        return _in_objects(left, right, path)
    if isinstance(left, list) and isinstance(right, list):
        for i in range(max(len(left), len(right))):
            pair = (left[i] if i < len(left) else _ABSENT, right[i] if i < len(right) else _ABSENT)
            if found := _in_members(*pair, f"{path}[{i}]"):
                return found
        return None
    if type(left) is type(right) and left == right:
        return None
    return Difference(path or "(the whole)", *_shown(left, right))


def _in_objects(left: dict[str, Any], right: dict[str, Any], path: str) -> Difference | None:
    for key in dict.fromkeys((*left, *right)):
        step = f"{path}.{key}" if path else key
        if found := _in_members(left.get(key, _ABSENT), right.get(key, _ABSENT), step):
            return found
    order = next(((a, b) for a, b in zip(left, right, strict=True) if a != b), None)
    return Difference(f"{path or '(the whole)'}: order of keys", *map(repr, order)) if order else None


def _in_members(left: Any, right: Any, path: str) -> Difference | None:
    if left is _ABSENT or right is _ABSENT:
        return Difference(path, *_shown(left, right))
    return first_difference(left, right, path)


def _shown(left: Any, right: Any) -> tuple[str, str]:
    a, b = _text(left), _text(right)
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    start = max(0, at - _BEFORE)
    return _cut(a, start), _cut(b, start)


def _text(value: Any) -> str:
    return "(nothing)" if value is _ABSENT else msgspec.json.encode(value).decode()


def _cut(text: str, start: int) -> str:
    piece = text[start : start + _SHOWN]
    return ("…" if start else "") + piece + ("…" if start + _SHOWN < len(text) else "")
