"""Identical requests at the same time share one upstream call: the leader makes it, subscribers get its bytes.

The first request for a key is the leader. A request for the same key that arrives before the call has ended subscribes: it
waits for the head of the answer, then gets the body from its first byte. The call does not belong to the leader's client:
when that client disconnects while others are subscribed, the call goes on without it (proxy/stream.py), and its reservation
is settled when the call ends. When the last subscriber disconnects as well, the call is cancelled.
"""

from __future__ import annotations

import asyncio
from typing import Final

from mitmproxy import http

from sluicegate.core.cachekey.replay_headers import replayable_headers
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

__all__ = ["SharedCall", "Singleflight"]

MAX_REPLAY_BYTES: Final = 4 * 1024 * 1024
"""How much of the body is kept for late subscribers; a call with a longer answer accepts no more of them."""
_UNDECODABLE: Final = "cannot decode the provider's answer"
_FAILED: Final = "the shared call failed"
_ABANDONED: Final = "all clients disconnected"


class SharedCall:
    """One upstream call, its leader and its subscribers."""

    def __init__(self, leader: Exchange, placeholders: frozenset[str]) -> None:
        self.leader = leader
        self.placeholders = placeholders
        """Those in the leader's request: only a request with the same ones may subscribe."""
        self.saved_tokens = 0
        self.saved_usd: float | None = None
        self.accepts_subscribers = True
        self._head: http.Response | None = None
        self._begun = asyncio.Event()
        self._replay: list[bytes] = []
        self._size = 0
        self._subscribers: list[ByteSource] = []
        self._waiting = 0
        self._failure: Refused | None = None
        self._decoder: Decoder | None = None

    # -- called for the leader
    @property
    def wanted(self) -> bool:
        """Whether anyone besides the leader reads the answer, or waits for it."""
        return self.followers > 0

    @property
    def followers(self) -> int:
        """How many exchanges besides the leader read the answer, or wait for it."""
        return len(self._subscribers) + self._waiting

    def begin(self, response: http.Response) -> None:
        """The head of the answer has arrived."""
        fields = replayable_headers(response.headers.fields)
        encoding = response.headers.get("content-encoding", "")
        try:
            self._decoder = decoder(encoding)
        except UnknownEncoding:  # the clients may know it
            fields.append((b"content-encoding", encoding.encode("utf-8", "surrogateescape")))
        self._head = http.Response(
            b"HTTP/1.1", response.status_code, b"", http.Headers(fields), b"", None, response.timestamp_start, None
        )
        self._begun.set()

    def write(self, data: bytes) -> None:
        """A chunk of the body. It is passed on decoded, because each subscriber may accept other encodings."""
        if self._decoder and not self._failure:
            try:
                self._publish(self._decoder.feed(data))
            except DecodeError:
                self._failure = Refused(502, _UNDECODABLE)
        elif not self._failure:
            self._publish(data)

    def _publish(self, data: bytes) -> None:
        if not data:
            return
        self._size += len(data)
        if self._size > MAX_REPLAY_BYTES:
            self.accepts_subscribers = False
            self._replay.clear()
        else:
            self._replay.append(data)
        for subscriber in self._subscribers:
            subscriber.write(data)

    def finish(self, error: Refused | None) -> None:
        """The call has ended; `error` says why if its answer is incomplete."""
        self.accepts_subscribers = False
        if self._decoder and not error and not self._failure:
            try:
                self._publish(self._decoder.end())
            except DecodeError:
                self._failure = Refused(502, _UNDECODABLE)
        self._failure = error = error or self._failure
        self._begun.set()
        for subscriber in self._subscribers:
            subscriber.close(error.message if error else None)

    # -- called for subscribers
    async def subscribe(self, x: Exchange, ping_s: float) -> tuple[http.Response, ByteSource] | None:
        """The answer for one more exchange; None if its client has disconnected. Raises Refused if the call failed.

        `ping_s`: a client that asked for a stream gets its headers and pings after so many seconds without an answer; 0:
        never.
        """
        self._waiting += 1
        try:
            if not await self._started(x, ping_s) and not x.life.gone:
                return self._pinged(x, ping_s)
        finally:
            self._waiting -= 1
            self._cancel_if_abandoned()
        if x.life.gone:
            return None
        if self._head is None:
            raise self._failure or Refused(502, _FAILED)
        response = self._head.copy()
        return response, self._attach(ByteSource())

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
            source.close("internal error in the gate")  # otherwise its client would wait forever
            raise
        finally:
            self._waiting -= 1
            self._cancel_if_abandoned()
        head = self._head
        if head is None or head.status_code != 200 or "event-stream" not in head.headers.get("content-type", ""):
            source.close(self._failure.message if self._failure else "the provider did not return a stream")
        else:
            self._attach(source)

    def _attach(self, source: ByteSource) -> ByteSource:
        """Replay the body so far into `source`; the rest follows as it arrives."""
        for data in self._replay:
            source.write(data)
        if self._failure or (not self.accepts_subscribers and self._begun.is_set() and self.leader.life.closed):
            source.close(self._failure.message if self._failure else None)
        elif self._size > MAX_REPLAY_BYTES:
            source.close("the shared answer is too large to be replayed from the start")
        else:
            self._subscribers.append(source)
        return source

    def unsubscribe(self, source: ByteSource | None) -> None:
        """A subscriber's exchange has ended, successfully or not."""
        if source in self._subscribers:
            self._subscribers.remove(source)
            self._cancel_if_abandoned()

    def _cancel_if_abandoned(self) -> None:
        if self.leader.life.detached and not self.leader.life.closed and not self.wanted:
            self.leader.interrupt(_ABANDONED)


class Singleflight:
    """The shareable calls of one process that have not ended, by exact cache key."""

    def __init__(self) -> None:
        self._by_key: dict[str, SharedCall] = {}

    def join(self, key: str, x: Exchange, placeholders: frozenset[str]) -> tuple[SharedCall, bool]:
        """The call for this key; True if it is a new one and `x` is its leader."""
        call = self._by_key.get(key)
        if call and call.accepts_subscribers and call.placeholders == placeholders and not call.leader.life.gone:
            return call, False
        call = SharedCall(x, placeholders)
        self._by_key.setdefault(key, call)
        return call, True

    def followers(self) -> int:
        """How many exchanges wait for, or read, the call of another."""
        return sum(call.followers for call in self._by_key.values())

    def remove(self, key: str, call: SharedCall) -> None:
        """The call has ended."""
        if self._by_key.get(key) is call:
            del self._by_key[key]


_tasks: set[asyncio.Task[None]] = set()
