"""Generates a random text that a pattern matches, so that every rule can be tested without a written example."""

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
"""The upper bound of an unbounded repetition, above its lower bound."""
_PRINTABLE = frozenset(range(33, 127))


def example_match(pattern: str, random: Random) -> tuple[str, dict[int, str]]:
    """A text that the pattern matches, and the text of each group. Raises Unknown."""
    groups: dict[int, str] = {}
    return _generate(parse(pattern), random, groups), groups


def _generate(node: Node, random: Random, groups: dict[int, str]) -> str:
    match node:
        case Chars(ranges):
            return _character(ranges, random)
        case Edge():
            return ""
        case Repeat(inner, low, high):
            most = low + _MORE if high is None else high
            times = low if most > 150 else random.randint(low, most)
            return "".join(_generate(inner, random, groups) for _ in range(times))
        case Row(nodes, group):
            text = "".join(_generate(n, random, groups) for n in nodes)
            if group is not None:
                groups[group] = text
            return text
        case Choice(nodes):
            return _generate(random.choice(nodes), random, groups)
        case _:
            assert_never(node)


def _character(ranges: tuple[tuple[int, int], ...], random: Random) -> str:
    codes = [c for low, high in ranges for c in range(low, min(high, 126) + 1)]
    shown = [c for c in codes if c in _PRINTABLE] or codes
    return chr(random.choice(shown))
