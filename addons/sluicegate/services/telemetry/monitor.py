"""The live feed of `/monitor`: one server-sent event per finished exchange, with increasing sequence numbers."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from sluicegate.exchange.bodies import ByteSource

__all__ = ["Monitor"]

_BACKLOG = 50
_MAX_SUBSCRIBERS = 50


class Monitor:
    """Sends each record to all subscribers."""

    def __init__(self) -> None:
        self.seq = 0
        self._recent: deque[tuple[int, bytes]] = deque(maxlen=_BACKLOG)
        self._subscribers: set[ByteSource] = set()

    @property
    def is_full(self) -> bool:
        return len(self._subscribers) >= _MAX_SUBSCRIBERS

    def publish(self, record: dict[str, Any]) -> None:
        self.seq += 1
        frame = b"id: %d\nevent: call\ndata: %s\n\n" % (
            self.seq,
            msgspec.json.encode({"seq": self.seq, **record}),
        )
        self._recent.append((self.seq, frame))
        for source in tuple(self._subscribers):
            source.write(frame)

    def subscribe(self, source: ByteSource, after: int | None = None) -> None:
        """Write events to a source until it is closed. `after`: first repeat the buffered events after that number."""
        self._subscribers.add(source)
        source.on_close = lambda: self._subscribers.discard(source)
        source.write(b": monitor\n\n")
        for seq, frame in self._recent:
            if after is not None and seq > after:
                source.write(frame)

    def send_heartbeat(self) -> None:
        """Send a comment to each subscriber, so that closed connections are noticed."""
        for source in tuple(self._subscribers):
            source.write(b": beat\n\n")
