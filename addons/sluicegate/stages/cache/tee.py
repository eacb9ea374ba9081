"""The tee on a provider's answer: keeps its bytes while they pass, and tells at the end whether they may be replayed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mitmproxy import http

from sluicegate.core.cachekey.answers import kept_headers
from sluicegate.core.messages.facts import RequestFacts
from sluicegate.core.messages.models import serves
from sluicegate.core.messages.usage import ResponseFacts, ResponseReader
from sluicegate.core.wire.encoding import Decoder, decoder
from sluicegate.exchange.exchange import Exchange

if TYPE_CHECKING:
    from sluicegate.core.formats.chat.usage import ChatReader

__all__ = ["Tee", "may_keep"]

_MAX_CHUNKS = 2000


def may_keep(response: http.Response, model: str, x: Exchange) -> bool:
    """Whether an answer that begins so can be one to keep: a 200 from the target that was asked for this model."""
    sent = (x.routing.target.model if x.routing.target else None) or (x.facts.model if x.facts else None) or ""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return (
        response.status_code == 200
        and kind in ("application/json", "text/event-stream")
        and "trailer" not in response.headers
        and serves(model, sent)
    )


class Tee:
    """`feed` and `end` are a tap that looks. `reader`: whoever reads the answer anyway; else the tee reads it."""

    def __init__(self, response: http.Response, reader: ResponseReader | ChatReader | None, limit: int) -> None:
        headers = response.headers
        encoding = headers.get("content-encoding", "")
        self.headers = tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in kept_headers(headers.fields))
        self.timing: tuple[tuple[int, int], ...] = ()
        self._own = reader is None
        self._reader = reader or ResponseReader(headers.get("content-type", ""), encoding, response.status_code)
        self._decoder: Decoder | None = decoder(encoding) if encoding.strip().lower() not in ("", "identity") else None
        self._chunks: list[bytes] = []
        self._times: list[tuple[int, int]] = []
        self._began = time.monotonic()
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
        if self._own:
            self._reader.feed(data)
        self._add(self._decoder.feed(data) if self._decoder else data)

    def _add(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:  # too long to be kept
            self._chunks.clear()
            self._times.clear()
            return
        self._chunks.append(data)
        if len(self._times) < _MAX_CHUNKS:
            self._times.append((round((time.monotonic() - self._began) * 1000), len(data)))

    def end(self) -> None:
        """The clean end of the body."""
        if self._left < 0:
            return
        if self._own:
            self._reader.end()
        if self._decoder:
            self._add(self._decoder.end())
        self.timing = tuple(self._times)
        self._ended = True

    def whole(self, model: str, asked: RequestFacts | None) -> bool:
        """Whether this is a complete answer, of the kind and from the model that was asked."""
        facts = self.facts
        if not self._ended or self._left < 0 or not facts.complete or facts.error_type or facts.note:
            return False
        if facts.counted is not None:  # count_tokens names no model
            return True
        return (
            facts.stream == bool(asked and asked.stream)
            and facts.stop_reason is not None
            and facts.stop_reason != "pause_turn"  # the provider is not done
            and serves(model, facts.model)
        )
