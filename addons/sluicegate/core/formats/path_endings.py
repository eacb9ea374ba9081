"""How the paths of a client format end: the rows by which surfaces.py recognises them. All text is in lower case."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Action", "Item", "PathEnding", "Tail", "Verb"]


@dataclass(frozen=True, slots=True)
class Tail:
    """The path ends in these segments: `…/v1/messages`."""

    segments: tuple[str, ...]

    @property
    def word(self) -> str:
        return self.segments[-1]


@dataclass(frozen=True, slots=True)
class Item:
    """The path ends in these segments and one more, an id: `…/v1/models/{id}`."""

    segments: tuple[str, ...]

    @property
    def word(self) -> str:
        return self.segments[-1]


@dataclass(frozen=True, slots=True)
class Action:
    """`…/{collection}/{id}/{name}`. The id may hold slashes: an ARN does."""

    collection: str
    name: str

    @property
    def word(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Verb:
    """`…/{collection}/{id}:{name}`. `id`: for this id only; it goes before a row for any id."""

    collection: str
    name: str
    id: str = ""

    @property
    def word(self) -> str:
        return self.name


type PathEnding = Tail | Item | Action | Verb
"""`word` is in every such path, however it is spelled: a path without any row's word needs no closer look."""
