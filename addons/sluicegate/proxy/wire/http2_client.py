"""HTTP/2 towards servers: stock, except for how a connection ends and for requests that wait their turn on it.

GOAWAY without an error   the server takes no more (RFC 9113, 6.8): what it has begun is finished, what it has not is
                          given back, later requests get another connection. Stock breaks off all of them
REFUSED_STREAM            given back as well (8.7): the server has not looked at the request
waiting for a free stream a request that is cancelled meanwhile is never sent; one whose connection ends is given back.
                          Stock sends the first, and lets the second wait for ever
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import h2.errors
import h2.events
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import (
    ErrorCode,
    ReceiveHttp,
    RequestHeaders,
    RequestProtocolError,
    ResponseProtocolError,
)

from sluicegate.proxy.mitmproxy_internals import Http2Client

__all__ = ["GateHttp2Client", "Goaways", "RequestNotProcessed"]

_HEAD: Final = 9
_GOAWAY: Final = 7
_GRACEFUL: Final = 0
_LONGEST: Final = 1 << 16
"""Bytes of a GOAWAY that are looked at; a longer one is no farewell in good order."""


class RequestNotProcessed(ResponseProtocolError):
    """The server has not looked at the request: it may be sent again, whatever it does."""


class Goaways:
    """Takes graceful GOAWAY frames (RFC 9113, 6.8) out of a server's bytes: the parser below would end with the first."""

    __slots__ = ("_held", "_left")

    def __init__(self) -> None:
        self._held = bytearray()
        """A frame's head that is not complete, or a GOAWAY that is not."""
        self._left = 0
        """Bytes of the present frame that pass as they are."""

    def feed(self, data: bytes) -> tuple[bytes, int | None]:
        """The bytes for the parser, and the last stream that the server will serve, where it said so."""
        if self._left >= len(data) and not self._held:
            self._left -= len(data)
            return data, None
        out, last, at = bytearray(), None, 0
        while at < len(data):
            if self._left:
                taken = data[at : at + self._left]
                out += taken
                self._left -= len(taken)
                at += len(taken)
                continue
            need = self._need() - len(self._held)
            self._held += data[at : at + need]
            at += need
            if len(self._held) < self._need():
                continue
            frame, self._held = bytes(self._held), bytearray()
            if _is_goaway(frame) and len(frame) > _HEAD and int.from_bytes(frame[13:17]) == _GRACEFUL:
                last = int.from_bytes(frame[9:13]) & 0x7FFFFFFF
            else:
                out += frame
                self._left = _size(frame) - (len(frame) - _HEAD)
        return bytes(out), last

    def _need(self) -> int:
        """How many bytes of the frame that begins in `_held` are looked at before it passes."""
        return _HEAD + _size(self._held) if len(self._held) >= _HEAD and _is_goaway(self._held) else _HEAD


def _size(frame: bytes | bytearray) -> int:
    return int.from_bytes(frame[:3])


def _is_goaway(frame: bytes | bytearray) -> bool:
    return frame[3] == _GOAWAY and 8 <= _size(frame) <= _LONGEST


class GateHttp2Client(Http2Client):
    goaways: Goaways
    leaving: bool
    """The server takes no more requests on this connection."""
    _ended: set[int]
    """Streams whose answer is complete."""
    _at_rest: Callable[[Connection], None]
    _unsent: list[int]
    """Requests that waited for their turn when the connection ended."""

    @classmethod
    def adopt(cls, client: Http2Client, at_rest: Callable[[Connection], None]) -> None:
        """Make one of a stock client that has not been asked anything yet. `at_rest`: told when it is idle."""
        client.__class__ = cls
        assert isinstance(client, cls)
        client.goaways, client.leaving, client._ended, client._unsent = Goaways(), False, set(), []
        client._at_rest = at_rest

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, RequestProtocolError) and self.stream_queue.pop(event.stream_id, None) is not None:
            return  # it was never sent
        if isinstance(event, RequestHeaders) and self.leaving:
            yield _given_back(event.stream_id)
            return
        last = None
        if isinstance(event, events.DataReceived):
            data, last = self.goaways.feed(event.data)
            event = events.DataReceived(event.connection, data)
        busy = bool(self.streams)
        yield from super()._handle_event(event)
        if isinstance(event, RequestProtocolError):
            self.streams.pop(event.stream_id, None)  # stock counts it as open for ever
        if last is not None:
            yield from self._leave(last)
        while self._unsent:
            yield _given_back(self._unsent.pop(0))
        if self.leaving and not self.streams and self.conn.connected:
            yield from self.close_connection("the upstream takes no more requests on this connection")
        elif busy and not self.streams:
            self._at_rest(self.conn)

    def _leave(self, last: int) -> layer.CommandGenerator[None]:
        """The server will answer its streams up to `last`, and no others."""
        self.leaving = True
        later = [s for s in self.streams if s > last]
        for ours in later:
            del self.streams[ours]
            if not self.is_closed(ours):
                self.h2_conn.reset_stream(ours, h2.errors.ErrorCodes.CANCEL)  # what it says of them all the same is ignored
        if data := self.h2_conn.data_to_send():
            yield commands.SendData(self.conn, data)
        for ours in later:
            yield _given_back(self.their_stream_id[ours])
        self._give_back_waiting()

    def _give_back_waiting(self) -> None:
        self._unsent += self.stream_queue
        self.stream_queue.clear()

    def close_connection(self, msg: str) -> layer.CommandGenerator[None]:
        self._give_back_waiting()
        yield from super().close_connection(msg)

    def handle_h2_event(self, event: h2.events.Event) -> layer.CommandGenerator[bool]:
        match event:
            case h2.events.StreamReset(stream_id=ours) if ours in self.streams:
                yield from self._reset(ours or 0, event.error_code)
                return False
            case h2.events.StreamEnded(stream_id=ours):
                self._ended.add(ours or 0)
        stop: bool = yield from super().handle_h2_event(event)
        self._ended &= self.streams.keys()
        return stop

    def _reset(self, ours: int, code: int | None) -> layer.CommandGenerator[None]:
        del self.streams[ours]
        if ours in self._ended and code == h2.errors.ErrorCodes.NO_ERROR:
            return  # RFC 9113, 8.1: it has answered, and wants no more of the request
        if code == h2.errors.ErrorCodes.REFUSED_STREAM:
            yield _given_back(ours)
            return
        name = _name_of(code)
        how = ErrorCode.HTTP_1_1_REQUIRED if name == "HTTP_1_1_REQUIRED" else ErrorCode.GENERIC_SERVER_ERROR
        yield ReceiveHttp(ResponseProtocolError(ours, f"the upstream reset the stream ({name})", how))


def _given_back(stream_id: int) -> ReceiveHttp:
    why = "the upstream turned the request away before it looked at it"
    return ReceiveHttp(RequestNotProcessed(stream_id, why, ErrorCode.GENERIC_SERVER_ERROR))


def _name_of(code: int | None) -> str:
    try:
        return h2.errors.ErrorCodes(code or 0).name
    except ValueError:
        return str(code)
