"""Parses a regular expression in RE2 syntax into a tree, which tells how long a match can be without running it.

Syntax: RE2's doc/syntax.txt. `Unknown` is raised for constructs that this parser does not support (Unicode classes, \\C):
such a pattern still runs, but over whole texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, assert_never

__all__ = ["Chars", "Choice", "Edge", "Node", "Repeat", "Row", "Unknown", "longest", "parse"]


class Unknown(ValueError):
    """The pattern contains a construct that this parser does not support."""


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of these ranges, both ends included."""

    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """A zero-width assertion. `sign` as written: ^ $ b B A z."""

    sign: str


@dataclass(frozen=True, slots=True)
class Repeat:
    node: Node
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """A sequence. `group`: its number if it is a capturing group."""

    nodes: tuple[Node, ...]
    group: int | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    nodes: tuple[Node, ...]


Node = Chars | Edge | Repeat | Row | Choice

_TOP: Final = 0x10FFFF
_DIGIT: Final = ((48, 57),)
_SPACE: Final = ((9, 10), (12, 13), (32, 32))
_WORD: Final = ((48, 57), (65, 90), (95, 95), (97, 122))
_UPPER: Final = ((65, 90),)
_LOWER: Final = ((97, 122),)

type _Ranges = tuple[tuple[int, int], ...]


def _not(ranges: _Ranges) -> _Ranges:
    free, start = [], 0
    for low, high in sorted(ranges):
        if low > start:
            free.append((start, low - 1))
        start = max(start, high + 1)
    return (*free, (start, _TOP)) if start <= _TOP else tuple(free)


_CLASSES: Final[dict[str, _Ranges]] = {
    "d": _DIGIT,
    "D": _not(_DIGIT),
    "s": _SPACE,
    "S": _not(_SPACE),
    "w": _WORD,
    "W": _not(_WORD),
}
_POSIX: Final[dict[str, _Ranges]] = {
    "alnum": (*_DIGIT, *_UPPER, *_LOWER),
    "alpha": (*_UPPER, *_LOWER),
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": _DIGIT,
    "graph": ((33, 126),),
    "lower": _LOWER,
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": _UPPER,
    "word": _WORD,
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}
_CONTROLS: Final = {"a": 7, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_EDGES: Final = "bBAz"
_MAX_DEPTH: Final = 100


def parse(pattern: str) -> Node:
    """The tree of a pattern that RE2 accepts. Raises Unknown."""
    reader = _Reader(pattern)
    node = reader.choice(0)
    if reader.at < len(pattern):
        raise Unknown("unbalanced )")
    return node


def longest(node: Node) -> int | None:
    """The maximum length of a match in characters; None if unbounded."""
    match node:
        case Chars():
            return 1
        case Edge():
            return 0
        case Repeat(inner, _, high):
            one = longest(inner)
            return None if one is None or (high is None and one > 0) else one * (high or 0)
        case Row(nodes):
            lengths = [longest(n) for n in nodes]
            return None if None in lengths else sum(n for n in lengths if n is not None)
        case Choice(nodes):
            lengths = [longest(n) for n in nodes]
            return None if None in lengths else max(n for n in lengths if n is not None)
        case _:
            assert_never(node)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.groups = 0

    def choice(self, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            raise Unknown("groups nested too deeply")
        rows = [self._row(depth)]
        while self._take("|"):
            rows.append(self._row(depth))
        return rows[0] if len(rows) == 1 else Choice(tuple(rows))

    def _row(self, depth: int) -> Node:
        nodes: list[Node] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            if self.text.startswith("\\Q", self.at):
                nodes += self._quoted()
                continue
            node = self._atom(depth)
            while (bounds := self._bounds()) is not None:
                node = Repeat(node, *bounds)
            nodes.append(node)
        return nodes[0] if len(nodes) == 1 else Row(tuple(nodes))

    def _atom(self, depth: int) -> Node:
        c = self._next()
        match c:
            case "(":
                return self._group(depth)
            case "[":
                return Chars(self._class())
            case ".":
                return Chars(_not(((10, 10),)))
            case "^" | "$":
                return Edge(c)
            case "\\":
                if self._peek() in _EDGES:
                    return Edge(self._next())
                return Chars(self._escape())
        return Chars(((ord(c), ord(c)),))

    def _group(self, depth: int) -> Node:
        number = None
        if self._take("?"):
            if self._take("P<") or self._take("<"):
                self._until(">")
                number = self._open()
            else:
                flags = self._flags()
                if flags == ")":
                    return Row(())
        else:
            number = self._open()
        node = self.choice(depth + 1)
        if not self._take(")"):
            raise Unknown("missing )")
        return node if number is None else Row((node,), number)

    def _flags(self) -> str:
        while (c := self._next()) not in ":)":
            if c not in "imsU-":
                raise Unknown(f"flag {c}")
        return c

    def _open(self) -> int:
        self.groups += 1
        return self.groups

    def _quoted(self) -> list[Node]:
        self.at += 2
        end = self.text.find("\\E", self.at)
        words = self.text[self.at :] if end < 0 else self.text[self.at : end]
        self.at = len(self.text) if end < 0 else end + 2
        return [Chars(((ord(c), ord(c)),)) for c in words]

    def _bounds(self) -> tuple[int, int | None] | None:
        found: tuple[int, int | None] | None = None
        match self._peek():
            case "*":
                found = (0, None)
            case "+":
                found = (1, None)
            case "?":
                found = (0, 1)
            case "{":
                return self._counted()
        if found is not None:
            self.at += 1
            self._take("?")
        return found

    def _counted(self) -> tuple[int, int | None] | None:
        """`{2}`, `{2,}` or `{2,5}`; any other text in braces is literal."""
        end = self.text.find("}", self.at)
        low, comma, high = self.text[self.at + 1 : max(end, self.at + 1)].partition(",")
        if not low.isdecimal() or not (high.isdecimal() or not high):
            return None
        self.at = end + 1
        self._take("?")
        if not comma:
            return int(low), int(low)
        return int(low), int(high) if high else None

    def _class(self) -> _Ranges:
        negated, found, first = self._take("^"), list[tuple[int, int]](), True
        while first or self._peek() != "]":
            first = False
            if self._take("[:"):
                name = self._until(":]")
                ranges = _POSIX.get(name.removeprefix("^"))
                if ranges is None:
                    raise Unknown(f"class {name}")
                found += _not(ranges) if name.startswith("^") else ranges
                continue
            low = self._member()
            is_range = len(low) == 1 and low[0][0] == low[0][1] and self._peek() == "-"
            if is_range and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                low = ((low[0][0], self._member()[0][1]),)
            found += low
        self.at += 1
        return _not(tuple(found)) if negated else tuple(found)

    def _member(self) -> _Ranges:
        c = self._next()
        return self._escape() if c == "\\" else ((ord(c), ord(c)),)

    def _escape(self) -> _Ranges:
        c = self._next()
        if c in _CLASSES:
            return _CLASSES[c]
        code = _CONTROLS.get(c)
        if c == "x":
            code = int(self._until("}") if self._take("{") else self._next() + self._next(), 16)
        elif c.isdecimal():
            self.at -= 1
            digits = ""
            while len(digits) < 3 and self._peek() in tuple("01234567"):
                digits += self._next()
            code = int(digits, 8)
        elif code is None:
            if c.isalpha():
                raise Unknown(f"escape {c}")
            code = ord(c)
        return ((code, code),)

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1] or "\0"

    def _next(self) -> str:
        if self.at >= len(self.text):
            raise Unknown("unexpected end of pattern")
        self.at += 1
        return self.text[self.at - 1]

    def _take(self, word: str) -> bool:
        found = self.text.startswith(word, self.at)
        self.at += len(word) if found else 0
        return found

    def _until(self, word: str) -> str:
        end = self.text.find(word, self.at)
        if end < 0:
            raise Unknown(f"missing {word}")
        start, self.at = self.at, end + len(word)
        return self.text[start:end]
