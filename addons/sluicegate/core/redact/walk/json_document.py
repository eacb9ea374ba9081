"""A request body as a JSON document that can be changed: strings that do not change keep their bytes.

`JsonDocument.read(body)` accepts strict JSON, and lone surrogates. It rejects any body that two readers might interpret
differently: duplicate keys (the first value would pass unscanned), NaN, stray bytes, another charset.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

__all__ = ["JsonDocument", "Unreadable", "json_string"]

_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


class Unreadable(ValueError):
    """The body cannot be parsed unambiguously. The message is safe for clients: it quotes nothing."""


class JsonDocument:
    """`root` may be changed in place; `render()` returns the bytes."""

    __slots__ = ("_body", "_plain", "root")

    def __init__(self, body: bytes, root: Any, *, plain: bool) -> None:
        self.root = root
        self._body = body
        self._plain = plain
        """Encoding `root` gives exactly the body: no duplicate key, no number or escape in another notation."""

    @classmethod
    def read(cls, body: bytes) -> JsonDocument:
        """Raises Unreadable if the body is invalid or ambiguous."""
        try:
            root = msgspec.json.decode(body)
            if msgspec.json.encode(root) == body:
                return cls(body, root, plain=True)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeError, OverflowError, RecursionError):
            pass
        return cls(body, _strictly(body), plain=False)

    def render(self) -> bytes:
        """The body with the changed strings; all other bytes stay."""
        if self._plain:
            try:
                return msgspec.json.encode(self.root)
            except UnicodeError:
                pass  # a new value has a lone surrogate
        out: list[bytes] = []
        done = 0
        strings = _strings(self.root)
        for m in _STRING.finditer(self._body):
            new = next(strings)
            if json.loads(m[0]) != new:
                out += self._body[done : m.start()], json_string(new)
                done = m.end()
        out.append(self._body[done:])
        return b"".join(out)


def json_string(text: str) -> bytes:
    """A string as JSON; lone surrogates as escapes."""
    try:
        return msgspec.json.encode(text)
    except UnicodeError:
        return json.dumps(text).encode()


def _strictly(body: bytes) -> Any:
    try:
        root = json.loads(body.decode("utf-8"), object_pairs_hook=_no_duplicate_keys, parse_constant=_no_constant)
    except Unreadable:
        raise
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8") from None
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None
    except ValueError:  # the original message may quote a key
        raise Unreadable("it is not valid JSON") from None
    return root


def _no_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Unreadable("an object has a duplicate key")
    return made


def _no_constant(_: str) -> Any:
    raise Unreadable("NaN and Infinity are not JSON")


def _strings(root: Any) -> Iterator[str]:
    """Every string in document order, keys included."""
    stack: list[Iterator[Any]] = [iter((root,))]
    while stack:
        for item in stack[-1]:
            if isinstance(item, str):
                yield item
            elif isinstance(item, dict):
                stack.append(_members(item))
                break
            elif isinstance(item, list):
                stack.append(iter(item))
                break
        else:
            stack.pop()


def _members(item: dict[str, Any]) -> Iterator[Any]:
    for key, value in item.items():
        yield key
        yield value
