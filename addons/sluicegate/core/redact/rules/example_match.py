"""Texts that a pattern matches, made from the pattern: something to find for every rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from sluicegate.core.redact.rules.regex_tree import (
    Chars,
    Choice,
    Edge,
    Node,
    Repeat,
    Row,
    parse,
)

if TYPE_CHECKING:
    from random import Random

__all__ = ["example_match"]

_MORE = 24
"""How far a repetition without an upper bound goes beyond its lower one."""
_PRINTABLE = frozenset(range(33, 127))


def example_match(pattern: str, random: Random) -> tuple[str, dict[int, str]]:
    """A text that the pattern matches, and what its groups have in it. What `parse` raises."""
    groups: dict[int, str] = {}
    return _grown(parse(pattern), random, groups), groups


def _grown(node: Node, random: Random, groups: dict[int, str]) -> str:
    match node:
        case Chars(ranges):
            return _character(ranges, random)
        case Edge():
            return ""
        case Repeat(inner, low, high):
            most = low + _MORE if high is None else high
            times = low if most > 150 else random.randint(low, most)
            return "".join(_grown(inner, random, groups) for _ in range(times))
        case Row(nodes, group):
            text = "".join(_grown(n, random, groups) for n in nodes)
            if group is not None:
                groups[group] = text
            return text
        case Choice(nodes):
            return _grown(random.choice(nodes), random, groups)
        case _:
            assert_never(node)


def _character(ranges: tuple[tuple[int, int], ...], random: Random) -> str:
    codes = [c for low, high in ranges for c in range(low, min(high, 126) + 1)]
    shown = [c for c in codes if c in _PRINTABLE] or codes
    return chr(random.choice(shown))
