"""A transform for answers that must be there as a whole before they can be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["Whole"]

_MOST: Final = 1 << 20


class Whole:
    """Collects a body, at most 1 MiB of it, and gives what `read` makes of it.

    `lenient`: of a larger one the beginning is enough (an error that says it at length); else it is a ValueError.
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
