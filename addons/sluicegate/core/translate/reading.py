"""Reads untrusted JSON: values of the right type, or Malformed with the path of the wrong one."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from sluicegate.core.translate.base import Malformed

__all__ = ["Json", "decode", "element", "encode", "flag", "integer", "items", "mapping", "member", "number", "text", "word"]

Json = dict[str, Any]

_WORD: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def decode(body: bytes) -> Json:
    """A body's JSON object. Lone surrogates and stray bytes, which JavaScript clients send, become `?`."""
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        raise Malformed("", "the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = _lenient(body)
    if not isinstance(value, dict):
        raise Malformed("", "the body must be a JSON object")
    return value


def _lenient(body: bytes) -> Any:
    try:
        value = json.loads(body.decode("utf-8", "replace"), strict=False)
        return msgspec.json.decode(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError:
        raise Malformed("", "the body is nested too deeply") from None
    except ValueError:  # msgspec's errors are ValueErrors, too
        raise Malformed("", "the body is not valid JSON") from None


def encode(value: object) -> bytes:
    """JSON, compact, keys in their order."""
    try:
        return msgspec.json.encode(value)
    except RecursionError:
        raise Malformed("", "the body is nested too deeply") from None


def word(value: object) -> str:
    """An enumeration value for an error message: `?` if it is not a plain word."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else "?"


def member(key: str, path: str) -> str:
    """The path of a member of the object at `path`."""
    return f"{path}.{key}" if path else key


def _wrong(owner: Json, key: str, path: str, wanted: str) -> Malformed:
    return Malformed(member(key, path), f"{wanted} is required" if owner.get(key) is None else f"must be {wanted}")


def text(owner: Json, key: str, path: str, default: str | None = None) -> str:
    """A string; `default` if it is absent or null. Raises Malformed if there is no default."""
    value = owner.get(key)
    if isinstance(value, str):
        return value
    if value is None and default is not None:
        return default
    raise _wrong(owner, key, path, "a string")


def items(owner: Json, key: str, path: str) -> list[Any]:
    """A list; empty if absent or null."""
    value = owner.get(key)
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise _wrong(owner, key, path, "a list")


def mapping(owner: Json, key: str, path: str) -> Json:
    """An object; empty if absent or null."""
    value = owner.get(key)
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise _wrong(owner, key, path, "an object")


def element(value: object, path: str) -> Json:
    """An object in a list."""
    if isinstance(value, dict):
        return value
    raise Malformed(path, "must be an object")


def integer(owner: Json, key: str, path: str = "") -> int | None:
    """An integer ≥ 0; None if absent or null."""
    value = owner.get(key)
    if value is None or (type(value) is int and 0 <= value < 2**53):
        return value
    raise _wrong(owner, key, path, "a whole number of 0 or more")


def number(owner: Json, key: str, path: str = "") -> int | float | None:
    """A number; None if absent or null."""
    value = owner.get(key)
    if value is None or (type(value) is int and abs(value) < 2**53) or type(value) is float:
        return value
    raise _wrong(owner, key, path, "a number")


def flag(owner: Json, key: str, path: str = "") -> bool | None:
    """A boolean; None if absent or null."""
    value = owner.get(key)
    if value is None or isinstance(value, bool):
        return value
    raise _wrong(owner, key, path, "true or false")
