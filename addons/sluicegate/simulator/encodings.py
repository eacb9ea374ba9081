"""Content codings of answers; a stream is flushed after every event."""

from __future__ import annotations

import zlib
from typing import Any, Literal, Protocol

from sluicegate.core.wire import zstd

type Coding = Literal["identity", "gzip", "br", "zstd"]


class Encoder(Protocol):
    """Bytes in, encoded bytes out; `feed` flushes, so that a reader can decode everything received."""

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class Gzip:
    def __init__(self) -> None:
        self._codec = zlib.compressobj(6, zlib.DEFLATED, 31)

    def feed(self, data: bytes) -> bytes:
        return self._codec.compress(data) + self._codec.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._codec.flush()


class Brotli:
    def __init__(self) -> None:
        import brotli

        self._codec: Any = brotli.Compressor(quality=4)

    def feed(self, data: bytes) -> bytes:
        return bytes(self._codec.process(data) + self._codec.flush())

    def finish(self) -> bytes:
        return bytes(self._codec.finish())


class Identity:
    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


def encoder(coding: Coding) -> Encoder:
    match coding:
        case "identity":
            return Identity()
        case "gzip":
            return Gzip()
        case "br":
            return Brotli()
        case "zstd":
            return zstd.compressor()


def negotiate(wanted: Coding | Literal["auto"], accept_encoding: str) -> Coding:
    """The coding to use; `auto`: the first supported one that the client accepts."""
    if wanted != "auto":
        return wanted
    known: dict[str, Coding] = {"gzip": "gzip", "br": "br", "zstd": "zstd"}
    for offer in accept_encoding.split(","):
        name, _, parameters = offer.partition(";")
        if parameters.replace(" ", "") in ("q=0", "q=0.0"):
            continue
        if (coding := known.get(name.strip().lower())) is not None:
            return coding
    return "identity"
