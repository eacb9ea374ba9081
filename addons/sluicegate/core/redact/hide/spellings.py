"""Spellings of a secret that was found: other encodings in which the same request may contain it."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from sluicegate.core.redact.scan.base64_secrets import base64_forms

__all__ = ["MIN_LENGTH", "spellings"]

MIN_LENGTH: Final = 8
"""Characters: a shorter value is hidden where it was found, and not searched for elsewhere."""
_MIN_ENCODED: Final = 12
_MIN_LINE: Final = 32
_MAX_ENCODED: Final = 64 * 1024


def spellings(value: str) -> frozenset[str]:
    """The value itself, escaped (JSON, once and twice; HTML), URL-encoded, in base64, and its long lines."""
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
    """The value with its escapes decoded, such as a key on one line with `\\n` for line breaks."""
    if "\\" not in value:
        return value
    try:
        read = json.loads(f'"{value}"', strict=False)
    except ValueError:
        return value
    return read if isinstance(read, str) else value


def _lines(value: str) -> Iterator[str]:
    """The lines of a private key: each can appear alone."""
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
    """Of the value alone, and within a longer text, for each of the three alignments."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(raw).decode()
        yield whole
        yield whole.rstrip("=")
        yield from (form for form, _ in base64_forms(raw, encode) if len(form) >= _MIN_ENCODED)
