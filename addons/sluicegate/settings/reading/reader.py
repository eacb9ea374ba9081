"""Nodes → plain values of the types that the settings declare, collecting every fault with its path.

msgspec stops at its first error and names no dictionary keys; this walk over msgspec's own description of the
types goes on, knows the lines, and reads the notations (`7d`, `32MB`, `${N}` where a number is wanted).
"""

import re
from collections.abc import Callable
from typing import Final

from msgspec import convert, inspect

from sluicegate.settings.errors import KeyPath, Problem
from sluicegate.settings.reading.fault_texts import (
    closest,
    shown,
    sort,
    suggestion,
    wanted,
)
from sluicegate.settings.reading.node import Node
from sluicegate.settings.reading.units import duration_s, size_bytes
from sluicegate.settings.reading.yaml_tree import plain_scalar

_NOTATIONS: Final[dict[str, Callable[[object], float]]] = {"duration": duration_s, "size": size_bytes}
_UNREADABLE: Final = object()


class Reader:
    """`read` gives plain values for msgspec; they are good only if `problems` stays empty."""

    def __init__(self, custom: Callable[[type, object], object]) -> None:
        self.problems: list[Problem] = []
        self._custom = custom

    def read(self, node: Node, kind: inspect.Type, path: KeyPath = (), meta: inspect.Metadata | None = None) -> object:
        if node.broken:
            return _UNREADABLE
        match kind:
            case inspect.Metadata():
                return self.read(node, kind.type, path, kind)
            case inspect.StructType():
                return self._struct(node, kind, path)
            case inspect.DictType():
                return self._dict(node, kind, path)
            case inspect.VarTupleType():
                return self._list(node, kind, path)
            case inspect.UnionType():
                return self._union(node, kind, path)
            case inspect.CustomType():
                return self._own_type(node, kind, path)
            case inspect.IntType() | inspect.FloatType():
                return self._number(node, kind, path, meta)
        return self._word(node, kind, path, meta)

    def _struct(self, node: Node, kind: inspect.StructType, path: KeyPath) -> object:
        value = {} if node.value is None else node.value  # a section whose keys are all commented out
        if not isinstance(value, dict):
            return self._fault(path, f"expected a mapping, got {sort(node)}")
        fields = {field.encode_name: field for field in kind.fields}
        read = {}
        for key, item in value.items():
            field = fields.get(key)
            if field is None:
                self._fault((*path, key), f"unknown key{suggestion(key, list(fields))}")
            else:
                read[key] = self.read(item, field.type, (*path, key))
        for name, field in fields.items():
            if name not in value and field.required:
                self._fault((*path, name), "this key is required")
        return read

    def _dict(self, node: Node, kind: inspect.DictType, path: KeyPath) -> object:
        value = {} if node.value is None else node.value
        if not isinstance(value, dict):
            return self._fault(path, f"expected a mapping, got {sort(node)}")
        for key in value:
            if not _fits(key, kind.key_type):
                self._fault((*path, key), f"expected {wanted(kind.key_type, None)} as the key")
        return {key: self.read(item, kind.value_type, (*path, key)) for key, item in value.items()}

    def _list(self, node: Node, kind: inspect.VarTupleType, path: KeyPath) -> object:
        if not isinstance(node.value, list):
            return self._fault(path, f"expected a list, got {sort(node)}")
        if len(node.value) < (kind.min_length or 0):
            return self._fault(path, "expected at least one entry; leave the key out for none")
        return [self.read(item, kind.item_type, (*path, i)) for i, item in enumerate(node.value)]

    def _union(self, node: Node, kind: inspect.UnionType, path: KeyPath) -> object:
        kinds = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
        if node.value is None and len(kinds) < len(kind.types):
            return None
        if len(kinds) == 1:
            return self.read(node, kinds[0], path)
        for member in kinds:
            attempt = Reader(self._custom)
            value = attempt.read(node, member, path)
            if not attempt.problems:
                return value
        choices = " or ".join(wanted(member, None) for member in kinds)
        return self._fault(path, f"expected {choices}, got {shown(node)}")

    def _own_type(self, node: Node, kind: inspect.CustomType, path: KeyPath) -> object:
        written = sort(node) if isinstance(node.value, list | dict) else node.value
        try:
            self._custom(kind.cls, written)
        except ValueError as error:
            return self._fault(path, str(error))
        return written

    def _number(
        self, node: Node, kind: inspect.IntType | inspect.FloatType, path: KeyPath, meta: inspect.Metadata | None
    ) -> object:
        value = plain_scalar(node.value) if node.expanded and isinstance(node.value, str) else node.value
        notation = ((meta.extra if meta else None) or {}).get("unit")
        if notation is not None:
            try:
                value = _NOTATIONS[notation](value)
            except ValueError:
                value = None
        whole = isinstance(kind, inspect.IntType)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self._fault(path, f"expected {wanted(kind, meta)}, got {shown(node)}")
        if whole and isinstance(value, float):
            return self._fault(path, f"expected {wanted(kind, meta).replace('number', 'whole number')}, got {value}")
        if not _in_range(value, kind):
            return self._fault(path, f"expected {wanted(kind, meta)}, got {shown(node)}")
        return value if whole else float(value)

    def _word(self, node: Node, kind: inspect.Type, path: KeyPath, meta: inspect.Metadata | None) -> object:
        value = node.value
        if isinstance(kind, inspect.BoolType):
            value = plain_scalar(value) if node.expanded and isinstance(value, str) else value
            fits = isinstance(value, bool)
        elif isinstance(kind, inspect.StrType):
            if isinstance(value, int | float):
                return self._fault(path, f"expected {wanted(kind, meta)}, got {sort(node)}: put it in quotes")
            if not isinstance(value, str):
                return self._fault(path, f"expected {wanted(kind, meta)}, got {sort(node)}")
            if not _fits(value, kind):  # never quoted: it may be a URL with a password
                empty = " that is not empty" if not value and meta is None else ""
                meant = closest(value, ((meta.extra if meta else None) or {}).get("choices", ()))
                return self._fault(path, f"expected {wanted(kind, meta)}{empty or ', got something else'}{meant}")
            return value
        elif isinstance(kind, inspect.LiteralType):
            fits = isinstance(value, str) and value in kind.values
        else:
            return self._converted(node, kind, path, meta)
        return value if fits else self._fault(path, f"expected {wanted(kind, meta)}, got {shown(node)}")

    def _converted(self, node: Node, kind: inspect.Type, path: KeyPath, meta: inspect.Metadata | None) -> object:
        assert isinstance(kind, inspect.DateTimeType), kind
        from sluicegate.settings.identity import Instant  # the one type that msgspec itself reads from text

        try:
            convert(node.value if isinstance(node.value, str) else None, type=Instant)
        except ValueError:
            return self._fault(path, f"expected {wanted(kind, meta)}, got {shown(node)}")
        return node.value

    def _fault(self, path: KeyPath, message: str) -> object:
        self.problems.append((path, message))
        return _UNREADABLE


def _in_range(value: float, kind: inspect.IntType | inspect.FloatType) -> bool:
    return not (
        (kind.gt is not None and not value > kind.gt)
        or (kind.ge is not None and not value >= kind.ge)
        or (kind.lt is not None and not value < kind.lt)
        or (kind.le is not None and not value <= kind.le)
    )


def _fits(text: str, kind: inspect.Type) -> bool:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if not isinstance(kind, inspect.StrType):
        return True
    return (
        len(text) >= (kind.min_length or 0)
        and (kind.max_length is None or len(text) <= kind.max_length)
        and (kind.pattern is None or re.search(kind.pattern.removesuffix("$") + r"\Z", text) is not None)
    )
