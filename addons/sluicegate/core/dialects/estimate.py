"""A guess at a request's tokens, for providers that can not count: too high rather than too low."""

from __future__ import annotations

from typing import Any, Final

import msgspec

__all__ = ["estimated_tokens"]

_BYTES_PER_TOKEN: Final = 3.5
_PER_FILE: Final = 1600
"""An image's tokens, about; a document's page has as many."""
_PER_BLOCK: Final = 4


def estimated_tokens(body: bytes) -> int:
    """What a Messages request may come to. Text by its bytes; images and documents by a flat rate."""
    try:
        asked = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return int(len(body) / _BYTES_PER_TOKEN)
    size, extra = 0, 0
    left: list[Any] = [asked.get(k) for k in ("tools", "system", "messages")] if isinstance(asked, dict) else []
    while left:
        one = left.pop()
        if isinstance(one, str):
            size += len(one.encode("utf-8", "replace"))
        elif isinstance(one, dict):
            extra += _PER_BLOCK
            if one.get("type") == "base64":
                extra += _PER_FILE
                continue
            size += sum(len(key) for key in one)
            left += one.values()
        elif isinstance(one, list):
            left += one
        elif one is not None:
            size += 4
    return int(size / _BYTES_PER_TOKEN) + extra
