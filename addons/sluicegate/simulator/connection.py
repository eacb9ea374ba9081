"""One client connection: parse requests, play the steps of their answers, notice a client that disconnects."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never, cast

from sluicegate.simulator import wire
from sluicegate.simulator.calls import Call
from sluicegate.simulator.steps import (
    Cut,
    Last,
    Pause,
    Steps,
    Stream,
    Upgrade,
)

BURST = 256  # steps played before other connections get their turn


@dataclass(slots=True)
class Plan:
    """The steps for a request; `call` is None for the control endpoints."""

    steps: Steps
    keep_alive: bool
    call: Call | None = None


type Handler = Callable[[wire.Request], Plan]
type Closer = Callable[[Call, str], None]  # gets the outcome of each call
type Tap = Callable[[bytes], object]  # given all bytes of a connection as they come


class Connection(asyncio.Protocol):
    """Answers one request after another; pipelined requests wait in the parser.

    A client that closes its sending side counts as gone, as the abort of a proxy begins in the same way.
    """

    def __init__(self, handler: Handler, closer: Closer, open_connections: set[Connection], tap: Tap | None = None) -> None:
        self._handler = handler
        self._closer = closer
        self._open = open_connections
        self._tap = tap
        self._parser = wire.RequestParser()
        self._transport: asyncio.Transport | None = None
        self._plan: Plan | None = None
        self._stream: Stream | None = None
        self._timer: asyncio.Handle | None = None
        self._paused = False
        self._full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._end("client_gone")

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def release(self) -> bool:
        """End the current pause of the answer. False if there is none."""
        if not self._paused or self._timer is None:
            return False
        self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_soon(self._resume)
        return True

    def data_received(self, data: bytes) -> None:
        if self._tap is not None:
            self._tap(data)
        if self._stream is not None:
            self._feed_stream(data)
            return
        self._parser.feed(data)
        if self._plan is None:
            self._pump()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._plan is not None and self._timer is None:
            self._resume()

    def _pump(self) -> None:
        """Take requests until one is answered over time."""
        while self._plan is None and self._stream is None and self._writable():
            event = self._parser.next_event()
            match event:
                case None:
                    return
                case wire.ContinueWanted():
                    self._write(wire.CONTINUE)
                case wire.Malformed(status, reason):
                    length = [("content-length", str(len(reason))), ("connection", "close")]
                    self._write(wire.head(status, length) + reason.encode())
                    self._close()
                case wire.Request():
                    self._plan = self._handler(event)
                    self._play()
                case _:
                    assert_never(event)

    def _resume(self) -> None:
        self._timer = None
        self._paused = False
        self._play()
        self._pump()

    def _play(self) -> None:
        try:
            self._play_steps()
        except BaseException:
            self._end("bug")
            self.abort()
            raise

    def _play_steps(self) -> None:
        plan = self._plan
        if plan is None:
            return
        loop = asyncio.get_running_loop()
        played = 0
        for step in plan.steps:
            match step:
                case bytes():
                    self._write(step)
                    played += 1
                    if not self._writable() or self._full:
                        return
                    if played == BURST:
                        self._timer = loop.call_soon(self._resume)
                        return
                case Pause(seconds):
                    self._timer = loop.call_later(seconds, self._resume)
                    self._paused = True
                    return
                case Last(data):
                    self._end("complete")
                    self._write(data)
                    if not plan.keep_alive:
                        self._close()
                    return
                case Cut(how):
                    self._end("complete")
                    self._close() if how == "eof" else self._reset()
                    return
                case Upgrade(stream):
                    self._stream = stream
                    self._end("complete")
                    self._feed_stream(self._parser.take_rest())
                    return
                case _:
                    assert_never(step)
        self._end("complete")
        if not plan.keep_alive:
            self._close()

    def _end(self, outcome: str) -> None:
        """End the current plan; a scripted fault of the call takes precedence over `complete`."""
        plan, self._plan = self._plan, None
        if plan is None:
            return
        if plan.call is not None:
            self._closer(plan.call, (plan.call.fault or outcome) if outcome == "complete" else outcome)
        close = getattr(plan.steps, "close", None)
        if close is not None and outcome == "client_gone":
            close()

    def _feed_stream(self, data: bytes) -> None:
        assert self._stream is not None
        answer, done = self._stream.feed(data)
        if answer:
            self._write(answer)
        if done:
            self._close()

    def _writable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _reset(self) -> None:
        """Send a TCP RST instead of a FIN, by a linger time of zero."""
        if self._transport is None:
            return
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
