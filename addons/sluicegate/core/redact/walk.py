"""Which strings of a request are scanned: what is structure is left alone by its path, never by a key's name alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Collision", "Leaf", "WalkSurface", "rewrite", "walk"]

WalkSurface = Literal["messages", "count_tokens", "batches", "chat_completions", "other"]


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
    """Every string to scan: tools, then system, then messages, then the rest, each in its own order."""
    raise NotImplementedError


def rewrite(document: Any, surface: WalkSurface, edit: Callable[[str], str]) -> tuple[Any, bool]:
    """The document with `edit` applied to every string that `walk` gives, in that order, keys included.

    Objects and lists are changed in place and keep their order; the new root (the root may itself be a string) and
    whether anything changed. Collision where two keys become one.
    """
    raise NotImplementedError
