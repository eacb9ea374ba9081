"""Typed access to a TOML table of a rule file: a value of the wrong type is rejected with its location."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["RulesError", "TomlTable"]


class RulesError(ValueError):
    """A rule file or a pattern cannot be used. The message says where, why and what to do."""


class TomlTable:
    """`where`: the location for error messages."""

    def __init__(self, table: Mapping[str, Any], where: str) -> None:
        self._table = table
        self.where = where

    def at(self, where: str) -> TomlTable:
        return TomlTable(self._table, where)

    def fault(self, key: str, what: str) -> RulesError:
        return RulesError(f"{self.where}: {key}: {what}")

    def text(self, key: str) -> str | None:
        return self._typed(key, str, "a string")  # type: ignore[no-any-return]

    def whole(self, key: str) -> int | None:
        return self._typed(key, int, "a whole number")  # type: ignore[no-any-return]

    def number(self, key: str) -> float | None:
        return self._typed(key, (int, float), "a number")  # type: ignore[no-any-return]

    def flag(self, key: str) -> bool:
        value = self._table.get(key, False)
        if not isinstance(value, bool):
            raise self.fault(key, "expected true or false")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._table.get(key, ())
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
            raise self.fault(key, "expected a list of strings")
        return tuple(value)

    def table(self, key: str) -> TomlTable:
        value = self._table.get(key, {})
        if not isinstance(value, dict):
            raise self.fault(key, f"expected a table, [{key}]")
        return TomlTable(value, f"{self.where}: {key}")

    def tables(self, key: str) -> list[TomlTable]:
        value = self._table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise self.fault(key, f"expected tables, [[{key}]]")
        return [TomlTable(v, self.where) for v in value]

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def is_list(self, key: str) -> bool:
        return isinstance(self._table.get(key), list)

    def _typed(self, key: str, kind: type | tuple[type, ...], words: str) -> Any:
        value = self._table.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise self.fault(key, f"expected {words}")
        return value
