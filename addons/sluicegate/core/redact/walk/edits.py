"""Replaces single strings of a document by their paths, without walking all of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sluicegate.core.redact.walk.json_walk import KeyCollision, Leaf

__all__ = ["apply_edits"]


def apply_edits(root: Any, edits: Iterable[tuple[Leaf, str]]) -> Any:
    """Replace the string of each leaf, in place; returns the new root, which may itself be such a string.

    Keys keep their positions. Raises KeyCollision.
    """
    holder = [root]
    renamed: dict[tuple[str | int, ...], dict[str, str]] = {}
    for leaf, new in edits:
        if leaf.is_key:
            renamed.setdefault(leaf.path[:-1], {})[leaf.text] = new
        else:
            path = (0, *leaf.path)
            _at(holder, path[:-1])[path[-1]] = new
    for path in sorted(renamed, key=len, reverse=True):  # bottom-up: the paths above stay valid
        _rename(_at(holder, (0, *path)), renamed[path])
    return holder[0]


def _at(holder: Any, path: Sequence[str | int]) -> Any:
    for step in path:
        holder = holder[step]
    return holder


def _rename(members: dict[str, Any], names: dict[str, str]) -> None:
    new = [(names.get(key, key), value) for key, value in members.items()]
    if len(dict(new)) < len(new):
        raise KeyCollision("two keys of an object would become equal")
    members.clear()
    members.update(new)
