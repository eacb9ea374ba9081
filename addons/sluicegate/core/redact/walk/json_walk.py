"""Walks a JSON body and yields the strings to scan.

The API's own structure is skipped by its path (body_shapes.py), never by the name of a key: `metadata`, `model` or `type`
within a tool's input are values like any other. Keys are scanned, too, except those defined by the API. Numbers are not: a
placeholder instead of a number would change the type.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any, assert_never

from sluicegate.core.redact.walk.body_shapes import (
    FREE,
    Data,
    Each,
    Fixed,
    Free,
    Object,
    Shape,
)

__all__ = ["KeyCollision", "Leaf", "walk"]


type _Trail = tuple[_Trail, str | int] | None
"""The path to a value as a linked list, last step first: shared by all values below it, so that depth costs nothing."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A string to scan: a value, or a key of an object."""

    trail: _Trail
    text: str
    is_key: bool

    @property
    def path(self) -> tuple[str | int, ...]:
        """Keys and indices from the root. Not for logs: a key may be the secret."""
        steps: list[str | int] = []
        trail = self.trail
        while trail is not None:
            trail, step = trail
            steps.append(step)
        return tuple(reversed(steps))


class KeyCollision(ValueError):
    """Replacing strings would make two keys of an object equal."""


def walk(document: Any, shape: Shape) -> Iterator[Leaf]:
    """Every string to scan: tools, then system, then messages, then the rest, each in document order.

    The values of an object come before its keys.
    """
    stack: list[tuple[Any, Shape, _Trail]] = [(document, shape, None)]
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
    """The keys of an object, which are walked after its values."""

    of: dict[str, Any]
    known: Container[str]

    def scanned(self) -> Iterator[str]:
        return (key for key in self.of if key not in self.known)


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
    """The keys of an object with the shapes of their values, and the keys that are defined by the API."""
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
