"""HTTP/2 towards servers: stock, except for how a connection ends and for requests that wait their turn on it.

GOAWAY without an error   the server accepts no more requests (RFC 9113, 6.8): those that it has begun are finished, the
                          others fail as RequestNotProcessed, later ones get another connection. Stock breaks off all
REFUSED_STREAM            RequestNotProcessed as well (8.7): the server has not processed the request
waiting for a free stream a request that is cancelled meanwhile is never sent; one whose connection ends fails as
                          RequestNotProcessed. Stock sends the first, and leaves the second waiting
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
"""Bytes of a GOAWAY that is read here; a longer one is left to the parser."""


class RequestNotProcessed(ResponseProtocolError):
    """The server has not processed the request: it may be sent again, even if it is not idempotent."""


class Goaways:
    """Takes graceful GOAWAY frames (RFC 9113, 6.8) out of a server's bytes: the parser below would end with the first."""

    __slots__ = ("_held", "_left")

    def __init__(self) -> None:
        self._held = bytearray()
        """An incomplete frame head, or an incomplete GOAWAY."""
        self._left = 0
        """Bytes of the present frame that pass as they are."""

    def feed(self, data: bytes) -> tuple[bytes, int | None]:
        """The bytes for the parser, and the last stream that the server will serve, if it said so."""
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
    """The server accepts no more requests on this connection."""
    _ended: set[int]
    """Streams whose answer is complete."""
    _at_rest: Callable[[Connection], None]
    _unsent: list[int]
    """Requests that waited for a stream when the connection ended."""

    @classmethod
    def adopt(cls, client: Http2Client, at_rest: Callable[[Connection], None]) -> None:
        """Adopt a stock client that has carried no request yet. `at_rest` is called when it is idle again."""
        client.__class__ = cls
        assert isinstance(client, cls)
        client.goaways, client.leaving, client._ended, client._unsent = Goaways(), False, set(), []
        client._at_rest = at_rest

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, RequestProtocolError) and self.stream_queue.pop(event.stream_id, None) is not None:
            return  # it was not sent yet
        if isinstance(event, RequestHeaders) and self.leaving:
            yield _not_processed(event.stream_id)
            return
        last = None
        if isinstance(event, events.DataReceived):
            data, last = self.goaways.feed(event.data)
            event = events.DataReceived(event.connection, data)
        busy = bool(self.streams)
        if last is not None:  # first: an answer behind it, of a stream that it excludes, must not begin
            yield from self._leave(last)
        yield from super()._handle_event(event)
        if isinstance(event, RequestProtocolError):
            self.streams.pop(event.stream_id, None)  # stock never stops counting it as open
        while self._unsent:
            yield _not_processed(self._unsent.pop(0))
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
                self.h2_conn.reset_stream(ours, h2.errors.ErrorCodes.CANCEL)  # late frames for them are ignored
        if data := self.h2_conn.data_to_send():
            yield commands.SendData(self.conn, data)
        for ours in later:
            yield _not_processed(self.their_stream_id[ours])
        self._fail_waiting()

    def _fail_waiting(self) -> None:
        self._unsent += self.stream_queue
        self.stream_queue.clear()

    def close_connection(self, msg: str) -> layer.CommandGenerator[None]:
        self._fail_waiting()
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
            yield _not_processed(ours)
            return
        name = _name_of(code)
        how = ErrorCode.HTTP_1_1_REQUIRED if name == "HTTP_1_1_REQUIRED" else ErrorCode.GENERIC_SERVER_ERROR
        yield ReceiveHttp(ResponseProtocolError(ours, f"the upstream reset the stream ({name})", how))


def _not_processed(stream_id: int) -> ReceiveHttp:
    why = "the upstream refused the request before processing it"
    return ReceiveHttp(RequestNotProcessed(stream_id, why, ErrorCode.GENERIC_SERVER_ERROR))


def _name_of(code: int | None) -> str:
    try:
        return h2.errors.ErrorCodes(code or 0).name
    except ValueError:
        return str(code)
