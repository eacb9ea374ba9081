"""HTTP/1 towards servers: stock parsing, hardened where stock loses an answer or collects without a bound.

1xx        an interim answer (RFC 9110, 15.2) is read and forgotten; stock takes it for the answer
trailers   fields after a chunked body (RFC 9112, 7.1.2) are dropped; stock crashes
lengths    a head, and the bytes between two chunks, are bounded; stock collects without a bound
logs       stock quotes bytes that came unasked
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import h11
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import ErrorCode, Http1Client, ReceiveHttp, ResponseHeaders, ResponseProtocolError

from sluicegate.exchange.fast_messages import fast_headers
from sluicegate.proxy.mitmproxy_internals import ChunkedReader, ReceiveBuffer, unread
from sluicegate.proxy.wire.http1_server import MAX_HEAD

__all__ = ["GateHttp1Client"]

_INTERIM: Final = re.compile(rb"HTTP/1\.\d 1(?!01)\d\d[ \r\n]")
"""Not 101: after it the connection speaks another protocol."""


class GateHttp1Client(Http1Client):
    _at_rest: Callable[[Connection], None]

    @classmethod
    def adopt(cls, client: Http1Client, at_rest: Callable[[Connection], None]) -> None:
        """Adopt a stock client that has carried no request yet. `at_rest` is called when it is idle again."""
        client.__class__ = cls
        assert isinstance(client, cls)
        client.state = client.read_headers
        client._at_rest = at_rest

    def mark_done(self, *, request: bool = False, response: bool = False) -> layer.CommandGenerator[None]:
        yield from super().mark_done(request=request, response=response)
        if self.stream_id is None:  # the end of an answer is passed on before the connection is idle
            self._at_rest(self.conn)

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived) and self.request:
            # its own bytes: a copy of them for each of thousands of interim answers would hold up all others
            while _INTERIM.match(unread(self.buf)) and self.buf.maybe_extract_lines():
                pass
        for command in super().read_headers(event):
            if type(command) is ReceiveHttp and isinstance(command.event, ResponseHeaders):
                data = command.event.response.data
                data.headers = fast_headers(data.headers.fields)  # looked into two dozen times
            if type(command) is not commands.Log:  # it quotes what came
                yield command
        if self.request and not self.response and len(self.buf) > MAX_HEAD:
            yield from self._too_long()

    def _too_long(self) -> layer.CommandGenerator[None]:
        assert self.stream_id is not None
        self.buf.maybe_extract_at_most(len(self.buf))
        self.state = self.done
        why = f"the head of the upstream's answer is longer than {MAX_HEAD} bytes"
        yield commands.CloseConnection(self.conn)
        yield ReceiveHttp(ResponseProtocolError(self.stream_id, why, ErrorCode.GENERIC_SERVER_ERROR))

    def read_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        if type(self.body_reader) is ChunkedReader:
            self.body_reader.__class__ = _Chunks
        return super().read_body(event)


class _Chunks(ChunkedReader):
    def __call__(self, buf: ReceiveBuffer) -> Any:
        found = super().__call__(buf)
        if found is None and len(buf) > MAX_HEAD:
            raise h11.RemoteProtocolError("too much between two chunks")
        return h11.EndOfMessage() if isinstance(found, h11.EndOfMessage) else found
