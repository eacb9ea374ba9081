"""The live feed behind `/monitor`: one SSE event per served call, with a sequence number that only grows."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from sluicegate.exchange.bodies import ByteSource

__all__ = ["Monitor"]

_BACKLOG = 50
_MAX_LISTENERS = 50


class Monitor:
    """Fans records out to whoever listens; costs nothing while nobody does."""

    def __init__(self) -> None:
        self.seq = 0
        self._recent: deque[tuple[int, bytes]] = deque(maxlen=_BACKLOG)
        self._listeners: set[ByteSource] = set()

    @property
    def full(self) -> bool:
        return len(self._listeners) >= _MAX_LISTENERS

    def publish(self, record: dict[str, Any]) -> None:
        self.seq += 1
        frame = b"id: %d\nevent: call\ndata: %s\n\n" % (
            self.seq,
            msgspec.json.encode({"seq": self.seq, **record}),
        )
        self._recent.append((self.seq, frame))
        for source in tuple(self._listeners):
            source.write(frame)

    def listen(self, source: ByteSource, after: int | None = None) -> None:
        """Feed a source until it is closed. `after`: first repeat what is still known after that number."""
        self._listeners.add(source)
        source.on_close = lambda: self._listeners.discard(source)
        source.write(b": monitor\n\n")
        for seq, frame in self._recent:
            if after is not None and seq > after:
                source.write(frame)

    def beat(self) -> None:
        """A comment to each listener, so that a gone one is noticed."""
        for source in tuple(self._listeners):
            source.write(b": beat\n\n")
