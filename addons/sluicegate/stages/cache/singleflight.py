"""Identical requests under way: one of them makes the call, the others get its bytes as they arrive.

The first to ask is the leader; its call is the flight. Whoever asks the same while it is under way follows: waits for the
head of the answer, then gets its bytes from the start. The call belongs to nobody alone: when the leader's client leaves
while others listen, the call goes on without it (proxy/stream.py), and what was reserved for it is settled when the call
ends; when the last of them has left as well, the call is ended.
"""

from __future__ import annotations

import asyncio
from typing import Final

from mitmproxy import http

from sluicegate.core.cachekey.answers import kept_headers
from sluicegate.core.errors import Refused
from sluicegate.core.wire.encoding import (
    DecodeError,
    Decoder,
    UnknownEncoding,
    decoder,
)
from sluicegate.core.wire.sse import PING
from sluicegate.exchange.bodies import ByteSource
from sluicegate.exchange.exchange import Exchange

__all__ = ["Flight", "Flights"]

_MOST_BYTES: Final = 4 * 1024 * 1024
"""Of an answer that a late joiner can still get from its start; a larger one takes nobody on any more."""
_UNREADABLE: Final = "the provider's answer can not be decoded"
_UNWANTED: Final = "nobody listens any more"


class Flight:
    """One call and those who listen to it."""

    def __init__(self, leader: Exchange, names: frozenset[str]) -> None:
        self.leader = leader
        self.names = names
        """Placeholders in the leader's request: only who has the same may follow."""
        self.saved_tokens = 0
        self.saved_usd: float | None = None
        self.boards = True
        """Whether it still takes somebody on."""
        self._head: http.Response | None = None
        self._begun = asyncio.Event()
        self._log: list[bytes] = []
        self._size = 0
        self._readers: list[ByteSource] = []
        self._waiting = 0
        self._failure: Refused | None = None
        self._decoder: Decoder | None = None

    # -- the leader
    @property
    def wanted(self) -> bool:
        """Whether somebody besides the leader listens, or waits to."""
        return self.followers > 0

    @property
    def followers(self) -> int:
        """How many besides the leader listen, or wait to."""
        return len(self._readers) + self._waiting

    def begin(self, response: http.Response) -> None:
        """The head of the answer is there."""
        fields = kept_headers(response.headers.fields)
        encoding = response.headers.get("content-encoding", "")
        try:
            self._decoder = decoder(encoding)
        except UnknownEncoding:  # they may know it
            fields.append((b"content-encoding", encoding.encode("utf-8", "surrogateescape")))
        self._head = http.Response(
            b"HTTP/1.1", response.status_code, b"", http.Headers(fields), b"", None, response.timestamp_start, None
        )
        self._begun.set()

    def write(self, data: bytes) -> None:
        """Some of its body; decoded, as each follower may know other encodings."""
        if self._decoder and not self._failure:
            try:
                self._pass(self._decoder.feed(data))
            except DecodeError:
                self._failure = Refused(502, _UNREADABLE)
        elif not self._failure:
            self._pass(data)

    def _pass(self, data: bytes) -> None:
        if not data:
            return
        self._size += len(data)
        if self._size > _MOST_BYTES:
            self.boards = False
            self._log.clear()
        else:
            self._log.append(data)
        for reader in self._readers:
            reader.write(data)

    def end(self, error: Refused | None) -> None:
        """The call is over; `error` where its answer did not come whole."""
        self.boards = False
        if self._decoder and not error and not self._failure:
            try:
                self._pass(self._decoder.end())
            except DecodeError:
                self._failure = Refused(502, _UNREADABLE)
        self._failure = error = error or self._failure
        self._begun.set()
        for reader in self._readers:
            reader.close(error.message if error else None)

    # -- those who follow
    async def board(self, x: Exchange, ping_s: float) -> tuple[http.Response, ByteSource] | None:
        """The answer for one more listener; None where its client has left. Raises Refused where the call failed.

        `ping_s`: after so many seconds without an answer a client that streams is committed to a stream and gets pings;
        0 for never.
        """
        self._waiting += 1
        try:
            if not await self._started(x, ping_s) and not x.life.gone:
                return self._pinged(x, ping_s)
        finally:
            self._waiting -= 1
            self._look_whether_wanted()
        if x.life.gone:
            return None
        if self._head is None:
            raise self._failure or Refused(502, "the call that this one waited for failed")
        response = self._head.copy()
        return response, self._reader()

    async def _started(self, x: Exchange, within_s: float) -> bool:
        await x.life.wait_for(self._begun.wait(), within_s or None)
        return self._begun.is_set()

    def _pinged(self, x: Exchange, ping_s: float) -> tuple[http.Response, ByteSource]:
        headers = http.Headers([(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")])
        source = ByteSource()
        task = asyncio.get_running_loop().create_task(self._ping(x, source, ping_s))
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
        return http.Response(b"HTTP/1.1", 200, b"OK", headers, b"", None, 0.0, None), source

    async def _ping(self, x: Exchange, source: ByteSource, ping_s: float) -> None:
        self._waiting += 1
        try:
            source.write(PING)
            while not await self._started(x, ping_s):
                if x.life.gone:
                    return
                source.write(PING)
        except BaseException:
            source.close("an internal error in the gate")  # else its client would wait for ever
            raise
        finally:
            self._waiting -= 1
            self._look_whether_wanted()
        head = self._head
        if head is None or head.status_code != 200 or "event-stream" not in head.headers.get("content-type", ""):
            source.close(self._failure.message if self._failure else "the provider gave no stream")
        else:
            self._reader(source)

    def _reader(self, source: ByteSource | None = None) -> ByteSource:
        source = source or ByteSource()
        for data in self._log:
            source.write(data)
        if self._failure or (not self.boards and self._begun.is_set() and self.leader.life.closed):
            source.close(self._failure.message if self._failure else None)
        elif self._size > _MOST_BYTES:
            source.close("the answer is too large to be given from its start")
        else:
            self._readers.append(source)
        return source

    def leave(self, source: ByteSource | None) -> None:
        """A listener is done, well or not."""
        if source in self._readers:
            self._readers.remove(source)
            self._look_whether_wanted()

    def _look_whether_wanted(self) -> None:
        if self.leader.life.detached and not self.leader.life.closed and not self.wanted:
            self.leader.interrupt(_UNWANTED)


class Flights:
    """The calls under way of one process, by the key of what they ask."""

    def __init__(self) -> None:
        self._by_key: dict[str, Flight] = {}

    def join(self, key: str, x: Exchange, names: frozenset[str]) -> tuple[Flight, bool]:
        """The flight of this key, and whether it is a new one, led by this exchange."""
        flight = self._by_key.get(key)
        if flight is not None and flight.boards and flight.names == names and not flight.leader.life.gone:
            return flight, False
        flight = Flight(x, names)
        self._by_key.setdefault(key, flight)
        return flight, True

    def followers(self) -> int:
        """How many exchanges wait for, or listen to, the call of another."""
        return sum(flight.followers for flight in self._by_key.values())

    def landed(self, key: str, flight: Flight) -> None:
        """The call is over."""
        if self._by_key.get(key) is flight:
            del self._by_key[key]


_tasks: set[asyncio.Task[None]] = set()
