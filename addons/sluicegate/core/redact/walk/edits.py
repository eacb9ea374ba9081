"""Changing single strings of a document by their paths: a walk over all of it costs more than the few that change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sluicegate.core.redact.walk.json_walk import KeyCollision, Leaf

__all__ = ["apply_edits"]


def apply_edits(root: Any, edits: Iterable[tuple[Leaf, str]]) -> Any:
    """The document with each leaf's string exchanged, in place; the root itself may be such a string.

    Keys keep their places. Collision where two keys of an object would become the same.
    """
    holder = [root]
    renamed: dict[tuple[str | int, ...], dict[str, str]] = {}
    for leaf, new in edits:
        if leaf.is_key:
            renamed.setdefault(leaf.path[:-1], {})[leaf.text] = new
        else:
            path = (0, *leaf.path)
            _at(holder, path[:-1])[path[-1]] = new
    for path in sorted(renamed, key=len, reverse=True):  # from below: the paths above still hold
        _rename(_at(holder, (0, *path)), renamed[path])
    return holder[0]


def _at(holder: Any, path: Sequence[str | int]) -> Any:
    for step in path:
        holder = holder[step]
    return holder


def _rename(members: dict[str, Any], names: dict[str, str]) -> None:
    new = [(names.get(key, key), value) for key, value in members.items()]
    if len(dict(new)) < len(new):
        raise KeyCollision("two keys of an object would become the same")
    members.clear()
    members.update(new)
