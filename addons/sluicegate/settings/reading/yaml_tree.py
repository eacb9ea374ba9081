"""YAML 1.2 text → nodes with lines; strict, and bounded against hostile input.

The events come from PyYAML; what they mean is decided here, because PyYAML's own resolver follows YAML 1.1
(`off` is false, `1:30` is 90) and its composer keeps the last of two equal keys.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import yaml

from sluicegate.settings.reading.node import Node, Value

MAX_NODES: Final = 50_000  # an alias counts as often as it is used
MAX_DEPTH: Final = 40
_TOO_DEEP: Final = f"nested deeper than {MAX_DEPTH} levels"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # only its parser is used: no constructor runs

# YAML 1.2.2 §10.3.2, the core schema, without its infinities and NaN: no key here has a use for them.
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?[0-9]{1,40}")
_BASED = re.compile(r"0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


class Malformed(ValueError):
    """The text is not acceptable YAML; the message never quotes the text's values."""

    def __init__(self, line: int | None, message: str) -> None:
        super().__init__(message)
        self.line = line


def plain_scalar(text: str) -> bool | int | float | str | None:
    """What an unquoted scalar means in YAML 1.2: only true and false are booleans, dates are text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


def compose(text: str, variable: str | None = None) -> Node | None:
    """The one document in `text`, None if there is none. Raises Malformed."""
    composer = _Composer(text, variable)
    try:
        return composer.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        # newer versions of libyaml have a limit of their own, far above ours
        what = _TOO_DEEP if "nesting depth" in what else f"not valid YAML: {what}"
        last = text.count("\n") + 1  # libyaml puts the end of the text on a line after it
        raise Malformed(min(mark.line + 1, last) if mark else None, what) from None
    except yaml.YAMLError as error:
        # A character that YAML does not allow: libyaml gives a position in bytes, and no line.
        position = getattr(error, "position", None)
        line = text.encode()[:position].count(b"\n") + 1 if isinstance(position, int) else None
        raise Malformed(line, "not valid YAML: it has control characters") from None


class _Composer:
    def __init__(self, text: str, variable: str | None) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_LOADER)
        self._variable = variable
        self._anchors: dict[str, Node] = {}
        self._nodes = 0

    def document(self) -> Node | None:
        root: Node | None = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise Malformed(_line(event), "expected one YAML document, found another")
            elif isinstance(event, yaml.NodeEvent):
                root = self._node(event, 0)
        return root

    def _node(self, event: yaml.Event, depth: int) -> Node:
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            target = self._anchors.get(event.anchor or "")
            if target is None:
                raise Malformed(line, f"the alias *{event.anchor} has no anchor before it")
            self._count(target.size, line)
            return target
        if getattr(event, "tag", None) is not None:
            raise Malformed(line, "YAML tags (`!…`) are not accepted")
        if depth > MAX_DEPTH:
            raise Malformed(line, _TOO_DEEP)
        self._count(1, line)
        before = self._nodes - 1
        node = Node(self._value(event, depth), line, self._variable)
        node = replace(node, size=self._nodes - before)
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _count(self, nodes: int, line: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise Malformed(line, f"more than {MAX_NODES} values, aliases counted each time they are used")

    def _value(self, event: yaml.Event, depth: int) -> Value:
        if isinstance(event, yaml.ScalarEvent):
            text = str(event.value)
            return plain_scalar(text) if event.implicit[0] else text
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(item, depth + 1))
            return items
        return self._mapping(depth)

    def _mapping(self, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent) or event.tag is not None:
                raise Malformed(line, "expected a plain key")
            key = str(event.value)  # as written: `4711:` and `off:` are names
            node = self._node(next(self._events), depth + 1)
            if key == "<<" and event.implicit[0]:
                _merge(merged, node, line)
            elif key in entries:
                raise Malformed(line, f'the key "{key[:64]}" is here twice, first on line {entries[key].line}')
            else:
                entries[key] = replace(node, line=line)
        return {**merged, **entries}


def _merge(into: dict[str, Node], node: Node, line: int) -> None:
    """`<<: *base` or `<<: [*a, *b]`: keys of the mapping itself win, then the earlier of the list."""
    for source in node.value if isinstance(node.value, list) else [node]:
        if not isinstance(source.value, dict):
            raise Malformed(line, "`<<` takes a mapping or a list of mappings")
        for key, value in source.value.items():
            into.setdefault(key, value)


def _line(event: yaml.Event) -> int:
    assert event.start_mark is not None
    return int(event.start_mark.line) + 1
