"""A transform for responses that can only be read as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["BufferedTransform"]

_MOST: Final = 1 << 20


class BufferedTransform:
    """Collects a body of at most 1 MiB, and returns what `read` makes of it.

    `lenient`: a larger body is truncated (a long error message); otherwise it is a ValueError.
    """

    __slots__ = ("_body", "_lenient", "_read")

    def __init__(self, read: Callable[[bytes], bytes], *, lenient: bool = False) -> None:
        self._body = bytearray()
        self._read = read
        self._lenient = lenient

    def feed(self, data: bytes) -> bytes:
        self._body += data[: _MOST - len(self._body)] if self._lenient else data
        if len(self._body) > _MOST:
            raise ValueError("the provider's answer is too large")
        return b""

    def end(self) -> bytes:
        return self._read(bytes(self._body))
