"""A JSON response, collected and translated at its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sluicegate.core.translate.base import Malformed

__all__ = ["MAX_ANSWER", "Collect"]

MAX_ANSWER: Final = 32 * 1024 * 1024


class Collect:
    """Holds the bytes back until `end()`, which raises Malformed if they are invalid or too many."""

    __slots__ = ("_body", "_translate")

    def __init__(self, translate: Callable[[bytes], bytes]) -> None:
        self._translate = translate
        self._body = bytearray()

    def feed(self, data: bytes) -> bytes:
        if len(self._body) <= MAX_ANSWER:
            self._body += data
        return b""

    def end(self) -> bytes:
        if len(self._body) > MAX_ANSWER:
            raise Malformed("", "the provider's answer is too large to be translated")
        return self._translate(bytes(self._body))
