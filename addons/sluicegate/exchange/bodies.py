"""Bodies in pieces: ByteSource, a body that arrives over time; KeptBody, a copy of a body as it passes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["ByteSource", "KeptBody"]

_MAX_QUEUED: Final = 8 * 1024 * 1024


class ByteSource:
    """A body that arrives over time: any task writes, one stream of the proxy core reads.

    Bounded: a reader that does not keep up with `limit` bytes gets the source closed with an error, so that a slow
    page cannot fill our memory.
    """

    __slots__ = ("_chunks", "_limit", "_queued", "_ready", "closed", "error", "on_close")

    def __init__(self, limit: int = _MAX_QUEUED) -> None:
        self._chunks: deque[bytes] = deque()
        self._ready = asyncio.Event()
        self._queued = 0
        self._limit = limit
        self.closed = False
        self.error: str | None = None
        self.on_close: Callable[[], None] | None = None

    def write(self, data: bytes) -> None:
        if not data or self.closed:
            return
        if self._queued + len(data) > self._limit:
            self.close("the reader is too slow")
            return
        self._queued += len(data)
        self._chunks.append(data)
        self._ready.set()

    def close(self, error: str | None = None) -> None:
        if self.closed:
            return
        self.closed, self.error = True, error
        self._ready.set()
        if self.on_close:
            self.on_close()

    async def wait(self) -> None:
        await self._ready.wait()

    def take(self) -> tuple[list[bytes], bool]:
        """What has come since the last look, and whether that was all."""
        out = list(self._chunks)
        self._chunks.clear()
        self._queued = 0
        if not self.closed:
            self._ready.clear()
        return out, self.closed


class KeptBody:
    """The provider's bytes, kept for flow views and saved flows: as they came, before any secret is restored."""

    __slots__ = ("_chunks", "_left")

    def __init__(self, limit: int = 16 * 1024 * 1024) -> None:
        self._chunks: list[bytes] = []
        self._left = limit

    def add(self, data: bytes) -> None:
        if self._left >= len(data):
            self._left -= len(data)
            self._chunks.append(data)
        else:
            self._left = -1
            self._chunks.clear()

    @property
    def body(self) -> bytes | None:
        """None if it was larger than the limit."""
        return b"".join(self._chunks) if self._left >= 0 else None
