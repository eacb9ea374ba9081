"""Texts that a pattern matches, made from the pattern: labelled samples for every rule."""

from __future__ import annotations

from random import Random
from typing import assert_never

from sluicegate.core.redact.pattern import Chars, Choice, Edge, Node, Repeat, Row, parse

_MORE = 24
"""How far a repetition without an upper bound goes beyond its lower one."""
_PRINTABLE = frozenset(range(33, 127))


def spelled(pattern: str, random: Random) -> tuple[str, dict[int, str]]:
    """A text that the pattern matches, and what its groups have in it."""
    groups: dict[int, str] = {}
    return _spelled(parse(pattern), random, groups), groups


def _spelled(node: Node, random: Random, groups: dict[int, str]) -> str:
    match node:
        case Chars(ranges):
            return _character(ranges, random)
        case Edge():
            return ""
        case Repeat(inner, low, high):
            most = low + _MORE if high is None else high
            times = low if most > 150 else random.randint(low, most)
            return "".join(_spelled(inner, random, groups) for _ in range(times))
        case Row(nodes, group):
            text = "".join(_spelled(n, random, groups) for n in nodes)
            if group is not None:
                groups[group] = text
            return text
        case Choice(nodes):
            return _spelled(random.choice(nodes), random, groups)
        case _:
            assert_never(node)


def _character(ranges: tuple[tuple[int, int], ...], random: Random) -> str:
    codes = [c for low, high in ranges for c in range(low, min(high, 126) + 1)]
    shown = [c for c in codes if c in _PRINTABLE] or codes
    return chr(random.choice(shown))
