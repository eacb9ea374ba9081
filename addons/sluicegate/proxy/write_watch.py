"""Whether an upstream reads the request: how many of its bytes the socket has not taken yet."""

from __future__ import annotations

from mitmproxy.connection import Connection

from sluicegate.proxy import mitmproxy_internals as internals

__all__ = ["WriteWatch"]


class WriteWatch:
    """Watches one connection of one client, from the moment that a request was handed over."""

    __slots__ = ("unsent",)

    def __init__(self) -> None:
        self.unsent = 0
        """Bytes that the upstream had not read when they were last counted; 0 when they are not watched any more."""

    def start(self, client_id: str, server: Connection) -> bool:
        """Count what is left. False: the socket has taken all of it."""
        self.unsent = _unsent(client_id, server)
        return self.unsent > 0

    def is_stuck(self, client_id: str, server: Connection) -> bool:
        """Count again: whether nothing was read since the last time."""
        left = _unsent(client_id, server)
        if left >= self.unsent:
            return True
        self.unsent = left
        return False

    @staticmethod
    def drop(client_id: str, server: Connection) -> None:
        """Forget the rest of a request: an orderly close would send it first, and it would be served and billed twice."""
        if server.alpn != b"h2":
            internals.abort(client_id, server)


def _unsent(client_id: str, server: Connection) -> int:
    transport = internals.transport_of(client_id, server)
    return int(transport.get_write_buffer_size()) if transport else 0
