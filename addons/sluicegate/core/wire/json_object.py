"""Members of a JSON object, read and changed without touching the bytes of the others.

Reads what a lenient server would read, too: lone surrogates, stray bytes, NaN, any depth, a byte order mark, UTF-16.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import msgspec

__all__ = ["edited", "loads", "members", "top", "utf8"]

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_STRICT: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def loads(data: bytes) -> Any:
    """A JSON value, read leniently; None if the text is not JSON."""
    try:
        return json.loads(data.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        return None


def utf8(body: bytes) -> bytes:
    """UTF-16 and UTF-32 (recognised by their zero bytes, RFC 4627, 3) as UTF-8, without a byte order mark."""
    if b"\0" in body[:4]:
        body = body.decode(json.detect_encoding(body), "replace").encode()
    return body.removeprefix(b"\xef\xbb\xbf")


_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],:]|[^\s"{}\[\],:]+|"', re.DOTALL)


def members(body: bytes) -> list[tuple[str, int, int]] | None:
    """The members of a JSON object in UTF-8: key, start and end of its value. None if the body is not an object.

    Reads strings and brackets only, in linear time and without recursion.
    """
    tokens = _TOKEN.finditer(body)
    found: list[tuple[str, int, int]] = []
    try:
        token = next(tokens)
        if token[0] != b"{":
            return None
        while (token := next(tokens))[0] != b"}":
            if found:
                if token[0] != b",":
                    return None
                token = next(tokens)
                if token[0] == b"}":
                    break
            key = loads(token[0])
            colon, first = next(tokens)[0], next(tokens)
            if not isinstance(key, str) or colon != b":":
                return None
            found.append((key, first.start(), _end_of_value(first, tokens)))
    except (StopIteration, ValueError):
        return None
    return found if next(tokens, None) is None else None


def _end_of_value(token: re.Match[bytes], tokens: Iterator[re.Match[bytes]]) -> int:
    if token[0] in (b",", b":", b"]", b"}"):
        raise ValueError("missing value")
    depth = 0
    while True:
        if token[0] in (b"{", b"["):
            depth += 1
        elif token[0] in (b"}", b"]"):
            depth -= 1
        elif token[0] == b'"':
            raise ValueError("unterminated string")
        if depth == 0:
            return token.end()
        token = next(tokens)


def top(body: bytes) -> dict[str, bytes] | None:
    """The object's members with the bytes of their values; the last of duplicate keys. None if it is not an object."""
    try:
        return {key: bytes(value) for key, value in _FIELDS.decode(body).items()}
    except _STRICT:
        body = utf8(body)
        found = members(body)
        return None if found is None else {key: body[start:end] for key, start, end in found}


def edited(body: bytes, *, drop: Collection[str] = (), put: Mapping[str, object] | None = None) -> bytes:
    """The object with some members dropped and others set; a new member comes last, a changed one keeps its place.

    Every other value keeps its bytes. A value of `put` may be a `msgspec.Raw`. Raises ValueError.
    """
    fields = top(body)
    if fields is None:
        raise ValueError("the body is not a JSON object")
    for name in drop:
        fields.pop(name, None)
    for name, value in (put or {}).items():
        fields[name] = bytes(value) if isinstance(value, msgspec.Raw) else msgspec.json.encode(value)
    return b"{%b}" % b",".join(b"%b:%b" % (_key(name), value) for name, value in fields.items())


def _key(name: str) -> bytes:
    return msgspec.json.encode(name.encode("utf-8", "replace").decode())
