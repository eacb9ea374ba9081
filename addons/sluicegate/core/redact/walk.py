"""Which strings of a request are scanned, and how they are exchanged.

Structure is left alone by its path (`shapes.py`), never by a key's name: `metadata`, `model` or `type` within a tool's
input are values like any other. Keys are scanned as well, all but those that the API itself gives. Numbers are not: a
string in their place would be another request.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from typing import Any, assert_never

from sluicegate.core.redact.shapes import FREE, SHAPES, Data, Each, Fixed, Free, Object, Shape, WalkSurface

__all__ = ["Collision", "Leaf", "WalkSurface", "rewrite", "walk"]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A string that is scanned: a value, or the key of an object."""

    path: tuple[str | int, ...]
    """Keys and indices from the document's root. Not for logs: a key may be the secret."""
    text: str
    is_key: bool


class Collision(ValueError):
    """Two keys of one object would become the same."""


def walk(document: Any, surface: WalkSurface) -> Iterator[Leaf]:
    """Every string to scan: tools, then system, then messages, then the rest, each in its own order; keys before values."""
    stack: list[tuple[Any, Shape, tuple[str | int, ...]]] = [(document, SHAPES[surface], ())]
    while stack:
        value, shape, path = stack.pop()
        if isinstance(value, str):
            if _is_scanned(value, shape):
                yield Leaf(path, value, is_key=False)
        elif isinstance(value, dict):
            members, known = _members(value, shape)
            for key, _ in members:
                if key not in known:
                    yield Leaf((*path, key), key, is_key=True)
            stack += [(value[key], inner, (*path, key)) for key, inner in reversed(members)]
        elif isinstance(value, list):
            inner = _of_items(shape)
            stack += [(value[i], inner, (*path, i)) for i in range(len(value) - 1, -1, -1)]


def rewrite(document: Any, surface: WalkSurface, edit: Callable[[str], str]) -> tuple[Any, bool]:
    """The document with `edit` applied to every string that `walk` gives, in that order, keys included.

    Objects and lists are changed in place and keep their order; the new root (the root may itself be a string) and
    whether anything changed. Collision where two keys become one.
    """
    root: list[Any] = [document]
    changed = False
    stack: list[tuple[Any, Any, Shape]] = [(root, 0, SHAPES[surface])]
    while stack:
        holder, place, shape = stack.pop()
        value = holder[place]
        if isinstance(value, str):
            if _is_scanned(value, shape) and (new := edit(value)) != value:
                holder[place], changed = new, True
        elif isinstance(value, dict):
            members, known = _members(value, shape)
            names = {key: edit(key) for key, _ in members if key not in known}
            if any(new != key for key, new in names.items()):
                _rename(value, names)
                changed = True
            stack += [(value, names.get(key, key), inner) for key, inner in reversed(members)]
        elif isinstance(value, list):
            inner = _of_items(shape)
            stack += [(value, i, inner) for i in range(len(value) - 1, -1, -1)]
    return root[0], changed


def _rename(value: dict[str, Any], names: dict[str, str]) -> None:
    members = [(names.get(key, key), inner) for key, inner in value.items()]
    if len(dict(members)) < len(members):
        raise Collision("two keys of an object would become the same")
    value.clear()
    value.update(members)


def _is_scanned(value: str, shape: Shape) -> bool:
    match shape:
        case Fixed():
            return False
        case Data():
            return not value.startswith(shape.prefix)
        case Each():
            return _is_scanned(value, shape.item)
        case Object() | Free():
            return True
        case _:
            assert_never(shape)


def _members(value: dict[str, Any], shape: Shape) -> tuple[list[tuple[str, Shape]], Container[str]]:
    """An object's keys with the shapes of their values, and which keys are the API's own."""
    match shape:
        case Fixed(deep=True):
            return [], ()
        case Each():
            return _members(value, shape.item)
        case Object():
            shape = shape.variant(value)
            members = [(key, shape.fields.get(key, FREE)) for key in value]
            if first := shape.first:
                members.sort(key=lambda member: first.get(member[0], len(first)))
            return members, shape.fields
        case Fixed() | Data() | Free():
            return [(key, FREE) for key in value], ()
        case _:
            assert_never(shape)


def _of_items(shape: Shape) -> Shape:
    match shape:
        case Each():
            return shape.item
        case Object(or_list=True) | Fixed(deep=True):
            return shape
        case Fixed() | Data() | Free() | Object():
            return FREE
        case _:
            assert_never(shape)
