"""Records an answer while it passes to the client, and decides at its end whether it may be stored."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mitmproxy import http

from sluicegate.core.cachekey.natural_end import ended_naturally
from sluicegate.core.cachekey.replay_headers import replayable_headers
from sluicegate.core.messages.facts import RequestFacts
from sluicegate.core.messages.models import serves
from sluicegate.core.messages.usage import ResponseFacts, ResponseReader
from sluicegate.core.wire.encoding import Decoder, decoder
from sluicegate.exchange.exchange import Exchange

if TYPE_CHECKING:
    from sluicegate.core.formats.chat.usage import ChatReader

__all__ = ["Tee", "is_storable"]

_MAX_CHUNKS = 2000


def is_storable(response: http.Response, model: str, x: Exchange) -> bool:
    """Whether an answer with this head may be stored: a 200 with a known content type, from a target asked for `model`."""
    sent = (x.routing.target.model if x.routing.target else None) or (x.facts.model if x.facts else None) or ""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return (
        response.status_code == 200
        and kind in ("application/json", "text/event-stream")
        and "trailer" not in response.headers
        and serves(model, sent)
    )


class Tee:
    """Its `feed` and `end` are an observing tap. `reader`: the call's own reader; without one the tee parses the answer."""

    def __init__(self, response: http.Response, reader: ResponseReader | ChatReader | None, limit: int) -> None:
        headers = response.headers
        encoding = headers.get("content-encoding", "")
        self.headers = tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in replayable_headers(headers.fields))
        self.timing: tuple[tuple[int, int], ...] = ()
        self._reads = reader is None
        self._reader = reader or ResponseReader(headers.get("content-type", ""), encoding, response.status_code)
        self._decoder: Decoder | None = decoder(encoding) if encoding.strip().lower() not in ("", "identity") else None
        self._chunks: list[bytes] = []
        self._times: list[tuple[int, int]] = []
        self._started = time.monotonic()
        self._left = limit
        self._ended = False

    @property
    def facts(self) -> ResponseFacts:
        return self._reader.facts

    @property
    def body(self) -> bytes:
        return b"".join(self._chunks)

    def feed(self, data: bytes) -> None:
        if self._left < 0:
            return
        if self._reads:
            self._reader.feed(data)
        self._add(self._decoder.feed(data) if self._decoder else data)

    def _add(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:  # too long to be stored
            self._chunks.clear()
            self._times.clear()
            return
        self._chunks.append(data)
        if len(self._times) < _MAX_CHUNKS:
            self._times.append((round((time.monotonic() - self._started) * 1000), len(data)))

    def end(self) -> None:
        """The body ended cleanly."""
        if self._left < 0:
            return
        if self._reads:
            self._reader.end()
        if self._decoder:
            self._add(self._decoder.end())
        self.timing = tuple(self._times)
        self._ended = True

    def is_complete(self, model: str, request: RequestFacts | None) -> bool:
        """Whether this is a whole answer of the requested kind from the requested model, so may be stored."""
        facts = self.facts
        if not self._ended or self._left < 0 or not facts.complete or facts.error_type or facts.note:
            return False
        if facts.counted is not None:  # an answer of count_tokens does not name a model
            return True
        return (
            facts.stream == bool(request and request.stream)
            and serves(model, facts.model)
            and ended_naturally(self.body, stream=facts.stream)
        )
