"""The words of a fault: what was expected, what is there, what may have been meant."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Final

from msgspec import inspect

from sluicegate.settings.reading.node import Node
from sluicegate.settings.reading.scalars import MAX_COUNT

MAX_SHOWN: Final = 24  # most keys are longer: one in the wrong place is not repeated


def wanted(kind: inspect.Type, meta: inspect.Metadata | None) -> str:
    while isinstance(kind, inspect.Metadata):
        meta = kind
        kind = kind.type
    described: Any = ((meta.extra_json_schema if meta else None) or {}).get("description")
    if described:
        return str(described)
    match kind:
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType(values=values):
            return " or ".join(filter(None, (", ".join(map(str, values[:-1])), str(values[-1]))))
        case inspect.IntType(ge=low, le=high) | inspect.FloatType(ge=low, le=high):
            bounded = high is not None and high < MAX_COUNT
            return f"a number from {low} to {high}" if bounded else f"a number ≥ {low}"
    return "text"


def sort(node: Node) -> str:
    match node.value:
        case None:
            return "nothing"
        case bool():
            return "true" if node.value else "false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
    return "a mapping"


def shown(node: Node) -> str:
    """The value, if it is short and did not come out of the environment."""
    if node.expanded:
        return "the value of a ${…} reference"
    match node.value:
        case str(text):
            return f'"{text}"' if len(text) <= MAX_SHOWN and node.variable is None else "some text"
        case int() | float() if not isinstance(node.value, bool):
            return str(node.value)
    return sort(node)


def suggestion(key: str, known: list[str]) -> str:
    return closest(key.replace("-", "_"), known) or f"; known are {', '.join(known)}"


def closest(written: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or "" if nothing known is close to what is written."""
    close = get_close_matches(written.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
