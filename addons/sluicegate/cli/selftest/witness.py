"""The leak witness: a simulated provider that keeps every byte the gate sends, and searches it for planted values.

It searches the raw bytes, the decoded URL and headers, the decoded body (by its header and by its magic bytes) and the
strings of its JSON. It looks for every spelling of a value.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, Self
from urllib.parse import unquote_plus

from sluicegate.core.redact.hide.spellings import spellings
from sluicegate.core.wire import zstd
from sluicegate.core.wire.encoding import DecodeError, UnknownEncoding, decoder
from sluicegate.simulator import Simulator
from sluicegate.simulator.wire import Malformed, Request, RequestParser

__all__ = ["Needles", "Witness", "needles", "seen_in"]

_MAX_BODY: Final = 64 * 1024 * 1024
_LARGEST_WINDOW_LOG: Final = 27
"""What zstd's own tool takes without a question: 128 MiB."""

type Needles = Mapping[str, frozenset[bytes]]
"""Name of a value → all spellings that must not occur."""


def needles(values: Mapping[str, str]) -> Needles:
    """The spellings of values, by their names."""
    return {name: frozenset(_spelled(value)) for name, value in values.items()}


def _spelled(value: str) -> Iterator[bytes]:
    raw = value.encode("utf-8", "surrogatepass")
    yield raw
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for spelling in spellings(value):
        yield spelling.encode("utf-8", "surrogatepass")


def seen_in(data: bytes, wanted: Needles) -> list[str]:
    """The names of the values that occur in `data`."""
    return [name for name, spelled in wanted.items() if any(s in data for s in spelled)]


class Witness:
    """Runs a simulator in a thread; `since(mark)` is all traffic after `mark()`."""

    def __init__(self) -> None:
        self.simulator = Simulator(taps=self._connection)
        self.requests: list[Request] = []
        """All complete requests in the order of their end, except those to the control endpoints."""
        self._streams: list[bytearray] = []

    @contextmanager
    def running(self) -> Iterator[Self]:
        with self.simulator.run_in_thread():
            yield self

    @property
    def url(self) -> str:
        return self.simulator.url

    def _connection(self) -> Any:
        stream, parser = bytearray(), RequestParser(_MAX_BODY)
        self._streams.append(stream)

        def tap(data: bytes) -> None:
            stream.extend(data)
            parser.feed(data)
            while (event := parser.next_event()) is not None and not isinstance(event, Malformed):
                if isinstance(event, Request):
                    self.requests.append(event)

        return tap

    def mark(self) -> tuple[int, list[int]]:
        return len(self.requests), [len(s) for s in self._streams]

    def since(self, mark: tuple[int, list[int]]) -> tuple[list[Request], list[bytes]]:
        """Requests, and all bytes by connection."""
        starts = [*mark[1], *[0] * (len(self._streams) - len(mark[1]))]
        return self.requests[mark[0] :], [bytes(s[at:]) for s, at in zip(list(self._streams), starts, strict=True)]

    def leaks(self, mark: tuple[int, list[int]], wanted: Needles) -> list[str]:
        """One sentence for each value and place where it arrived."""
        requests, streams = self.since(mark)
        found = dict.fromkeys(f"{name} in the bytes" for data in streams for name in seen_in(data, wanted))
        for request in requests:
            for place, data in _views(request):
                found |= dict.fromkeys(f"{name} in {place}" for name in seen_in(data, wanted))
        return list(found)


def _views(request: Request) -> Iterator[tuple[str, bytes]]:
    """The decoded views of a request: the name of a place, and its bytes."""
    yield "the URL", unquote_plus(request.target).encode()
    for name, value in request.headers:
        yield f"the header {name}", f"{value}\0{unquote_plus(value)}".encode()
    for body in _decoded(request):
        yield "the body", body
        yield "the body", "\0".join(_strings(body)).encode("utf-8", "surrogatepass")


def _decoded(request: Request) -> Iterator[bytes]:
    """The raw body, then its decoded forms, if it can be decoded."""
    body = request.body
    yield body
    with suppress(UnknownEncoding, DecodeError):
        yield decoder(request.fields.get("content-encoding", "identity")).feed(body)
    with suppress(zlib.error):
        if body[:2] == b"\x1f\x8b":
            yield zlib.decompressobj(31).decompress(body)
    with suppress(zstd.ZstdError):
        if body[:4] == b"\x28\xb5\x2f\xfd":
            yield zstd.decompressor(_LARGEST_WINDOW_LOG).decompress(body)


def _strings(body: bytes) -> Iterable[str]:
    """Every string of a JSON text, keys included."""
    try:
        stack = [json.loads(body)]
    except (ValueError, RecursionError):
        return
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            stack += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            stack += item
