"""Which strings of a request are scanned, and how they are exchanged.

Structure is left alone by its path (`shapes.py`), never by a key's name: `metadata`, `model` or `type` within a tool's
input are values like any other. Keys are scanned as well, all but those that the API itself gives. Numbers are not: a
string in their place would be another request.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from typing import Any, assert_never

from sluicegate.core.redact.walk.body_shapes import (
    FREE,
    SHAPES,
    Data,
    Each,
    Fixed,
    Free,
    Object,
    Shape,
    WalkSurface,
)

__all__ = ["KeyCollision", "Leaf", "WalkSurface", "rewrite", "walk"]


type _Trail = tuple[_Trail, str | int] | None
"""The way to a value, last step first: shared by all below it, so that depth costs nothing."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A string that is scanned: a value, or the key of an object."""

    trail: _Trail
    text: str
    is_key: bool

    @property
    def path(self) -> tuple[str | int, ...]:
        """Keys and indices from the document's root. Not for logs: a key may be the secret."""
        steps: list[str | int] = []
        trail = self.trail
        while trail is not None:
            trail, step = trail
            steps.append(step)
        return tuple(reversed(steps))


class KeyCollision(ValueError):
    """Two keys of one object would become the same."""


def walk(document: Any, surface: WalkSurface) -> Iterator[Leaf]:
    """Every string to scan: tools, then system, then messages, then the rest, each in its own order; an object's values
    before its keys."""
    stack: list[tuple[Any, Shape, _Trail]] = [(document, SHAPES[surface], None)]
    while stack:
        value, shape, trail = stack.pop()
        if isinstance(value, str):
            if _is_scanned(value, shape):
                yield Leaf(trail, value, is_key=False)
        elif isinstance(value, dict):
            members, known = _members(value, shape)
            stack.append((_Keys(value, known), FREE, trail))
            stack += [(value[key], inner, (trail, key)) for key, inner in reversed(members)]
        elif isinstance(value, list):
            inner = _of_items(shape)
            stack += [(value[i], inner, (trail, i)) for i in range(len(value) - 1, -1, -1)]
        elif isinstance(value, _Keys):
            yield from (Leaf((trail, key), key, is_key=True) for key in value.scanned())


@dataclass(frozen=True, slots=True)
class _Keys:
    """The keys of an object, whose turn comes after its values."""

    of: dict[str, Any]
    known: Container[str]

    def scanned(self) -> Iterator[str]:
        return (key for key in self.of if key not in self.known)


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
        value = holder[place] if holder is not None else place
        if isinstance(value, str):
            if _is_scanned(value, shape) and (new := edit(value)) != value:
                holder[place], changed = new, True
        elif isinstance(value, dict):
            members, known = _members(value, shape)
            stack.append((None, _Keys(value, known), FREE))
            stack += [(value, key, inner) for key, inner in reversed(members)]
        elif isinstance(value, list):
            inner = _of_items(shape)
            stack += [(value, i, inner) for i in range(len(value) - 1, -1, -1)]
        elif isinstance(value, _Keys):
            changed |= _rename(value.of, {key: edit(key) for key in value.scanned()})
    return root[0], changed


def _rename(value: dict[str, Any], names: dict[str, str]) -> bool:
    if all(new == key for key, new in names.items()):
        return False
    members = [(names.get(key, key), inner) for key, inner in value.items()]
    if len(dict(members)) < len(members):
        raise KeyCollision("two keys of an object would become the same")
    value.clear()
    value.update(members)
    return True


def _is_scanned(value: str, shape: Shape) -> bool:
    match shape:
        case Fixed():
            return False
        case Data():
            return not value.startswith(shape.prefixes)
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
            return [], value
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
