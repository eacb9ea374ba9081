"""Spellings of a secret that was found: how else the same value may be written somewhere in the same request."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

__all__ = ["MIN_LENGTH", "spellings"]

MIN_LENGTH: Final = 8
"""Characters: a shorter value is hidden where it was found, and looked for nowhere else."""
_MIN_ENCODED: Final = 12
_MIN_LINE: Final = 32
_MAX_ENCODED: Final = 64 * 1024


def spellings(value: str) -> frozenset[str]:
    """The value as written, escaped (JSON, once and twice; HTML), URL-encoded, in Base64, and its long lines."""
    if len(value) < MIN_LENGTH:
        return frozenset()
    found = {value, *_escaped(value), *_lines(value)}
    for plain in {value, _unescaped(value)}:
        found |= {plain, *_escaped(plain), *_lines(plain)}
        if len(plain) <= _MAX_ENCODED:
            raw = plain.encode("utf-8", "surrogatepass")
            found |= {*_url_encoded(raw), *_base64(raw)}
    return frozenset(s for s in found if len(s) >= MIN_LENGTH)


def _escaped(value: str) -> Iterator[str]:
    for ascii_only in (False, True):
        once = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield once
        yield json.dumps(once, ensure_ascii=ascii_only)[1:-1]
    yield html.escape(value)
    yield html.escape(value, quote=False)


def _unescaped(value: str) -> str:
    """What an escaped value stands for: a key in one line, its line breaks written as `\\n`."""
    if "\\" not in value:
        return value
    try:
        read = json.loads(f'"{value}"', strict=False)
    except ValueError:
        return value
    return read if isinstance(read, str) else value


def _lines(value: str) -> Iterator[str]:
    """A line of a private key is as good as hidden only when it is hidden by itself, too."""
    if "\n" in value:
        for line in value.splitlines():
            if len(line.strip()) >= _MIN_LINE and not line.lstrip().startswith("-----"):
                yield line.strip()


def _url_encoded(raw: bytes) -> Iterator[str]:
    for safe in ("", "/", "/:@"):
        encoded = quote(raw, safe=safe)
        yield encoded
        yield _lower_hex(encoded)
    yield quote_plus(raw)


def _lower_hex(encoded: str) -> str:
    parts = encoded.split("%")
    return "%".join([parts[0], *(p[:2].lower() + p[2:] for p in parts[1:])])


def _base64(raw: bytes) -> Iterator[str]:
    """By itself, and the part that is the same whatever stands before and behind it, for each of the three alignments."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(raw).decode()
        yield whole
        yield whole.rstrip("=")
        for before in range(3):
            first = (0, 2, 3)[before]  # characters that depend on the bytes before
            last = (before + len(raw)) * 8 // 6  # characters that do not depend on the bytes behind
            core = encode(bytes(before) + raw).decode()[first:last]
            if len(core) >= _MIN_ENCODED:
                yield core
