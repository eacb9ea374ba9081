"""Content encodings, decoded incrementally: gzip, deflate, br, zstd, and stacks of them (RFC 9110, 8.4).

However the bytes are cut, the same comes out. Output is taken in pieces, so that a bomb is noticed before it is held whole.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, Final, Protocol

from sluicegate.core.wire import zstd

__all__ = ["MAX_OUTPUT", "DecodeError", "Decoder", "Truncated", "UnknownEncoding", "decoder"]

MAX_OUTPUT: Final = 256 * 1024 * 1024
"""Largest decoded size of one body, in bytes."""

_PIECE: Final = 1 << 20
_ZSTD_SLICE: Final = 1024
"""Input is decoded in slices: a block of a few bytes may expand to 128 KiB, and the library returns all output at once;
1 KiB expands to at most ~40 MiB."""
_ZSTD_WINDOW_LOG: Final = 23
"""RFC 9659: 8 MiB is the largest window allowed for this content coding."""
_MAX_STACKED: Final = 5


class DecodeError(ValueError):
    """The bytes are not valid in this encoding, or their decoded size is too large."""


class Truncated(DecodeError):
    """The body ends before its encoding does."""


class UnknownEncoding(ValueError):
    """No decoder for this content-encoding."""


class Decoder(Protocol):
    def feed(self, data: bytes) -> bytes:
        """Decode these bytes. Raises DecodeError."""
        ...

    def end(self) -> bytes:
        """End of the body: return the output held back. Raises Truncated if the encoded data is incomplete."""
        ...


class _Zlib:
    """gzip (several members, zero padding), zlib-wrapped or raw deflate."""

    def __init__(self, limit: int, *, gzip: bool) -> None:
        self._gzip = gzip
        self._d = zlib.decompressobj(zlib.MAX_WBITS | 16) if gzip else None
        self._held = b""
        self._left = limit
        self._any = False

    def feed(self, data: bytes) -> bytes:
        if not data:
            return b""
        self._any = True
        if self._d is None:  # "deflate" is zlib-wrapped by the RFC, and raw with some servers
            data = self._held + data
            if len(data) < 2:
                self._held = data
                return b""
            self._held = b""
            self._d = zlib.decompressobj(zlib.MAX_WBITS if _is_zlib(data) else -zlib.MAX_WBITS)
        return b"".join(self._pieces(data))

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        d = self._d
        assert d is not None
        while True:
            if d.eof:
                data = data.lstrip(b"\0") if self._gzip else data
                if not data:
                    return
                if not self._gzip:
                    raise DecodeError("trailing bytes after the deflate data")
                self._d = d = zlib.decompressobj(zlib.MAX_WBITS | 16)  # another member follows
            try:
                piece = d.decompress(data, _PIECE)
            except zlib.error as e:
                raise DecodeError(f"corrupt {'gzip' if self._gzip else 'deflate'} data") from e
            self._left -= len(piece)
            if self._left < 0:
                raise DecodeError("the decoded body is too large")
            yield piece
            data = d.unused_data if d.eof else d.unconsumed_tail
            if not data and (d.eof or len(piece) < _PIECE):
                return

    def end(self) -> bytes:
        if self._any and not (self._d and self._d.eof):
            raise Truncated("the compressed body ends too early")
        return b""


def _is_zlib(data: bytes) -> bool:
    """RFC 1950, 2.2: method 8, a check value over both bytes."""
    return data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0


class _Brotli:
    def __init__(self, limit: int) -> None:
        import brotli

        self._d: Any = brotli.Decompressor()
        self._bounded = hasattr(self._d, "can_accept_more_data")  # brotli 1.2
        self._error: type[Exception] = brotli.error
        self._left = limit
        self._any = False

    def feed(self, data: bytes) -> bytes:
        if not data:
            return b""
        self._any = True
        out: list[bytes] = []
        try:
            while True:
                piece = self._d.process(data, output_buffer_limit=_PIECE) if self._bounded else self._d.process(data)
                self._left -= len(piece)
                if self._left < 0:
                    raise DecodeError("the decoded body is too large")
                out.append(piece)
                if not self._bounded or self._d.is_finished():
                    break
                if len(piece) < _PIECE and self._d.can_accept_more_data():
                    break
                data = b""  # the library has consumed the input and holds output back
        except self._error as e:
            raise DecodeError("corrupt br data") from e
        return b"".join(out)

    def end(self) -> bytes:
        if self._any and not self._d.is_finished():
            raise Truncated("the compressed body ends too early")
        return b""


class _Zstd:
    """Frames, one after the other (RFC 8878, 3.1)."""

    def __init__(self, limit: int) -> None:
        self._d = zstd.decompressor(_ZSTD_WINDOW_LOG)
        self._left = limit
        self._clean = True
        """At the start or between frames."""

    def feed(self, data: bytes) -> bytes:
        return b"".join(p for i in range(0, len(data), _ZSTD_SLICE) for p in self._pieces(data[i : i + _ZSTD_SLICE]))

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        while data:
            self._clean = False
            try:
                piece = self._d.decompress(data)
            except zstd.ZstdError as e:
                raise DecodeError("corrupt zstd data") from e
            self._left -= len(piece)
            if self._left < 0:
                raise DecodeError("the decoded body is too large")
            yield piece
            if not self._d.eof:
                return
            data = self._d.unused_data
            self._d, self._clean = zstd.decompressor(_ZSTD_WINDOW_LOG), True

    def end(self) -> bytes:
        if not self._clean:
            raise Truncated("the compressed body ends too early")
        return b""


class _Stack:
    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders

    def feed(self, data: bytes) -> bytes:
        for d in self._decoders:
            data = d.feed(data)
        return data

    def end(self) -> bytes:
        data = b""
        for d in self._decoders:
            data = (d.feed(data) if data else b"") + d.end()
        return data


class _Identity:
    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""


def decoder(content_encoding: str, max_output: int = MAX_OUTPUT) -> Decoder:
    """A decoder for a Content-Encoding header, which names the codings in the order they were applied.

    Raises UnknownEncoding.
    """
    names = [n.strip().lower() for n in content_encoding.split(",")]
    applied = [n for n in names if n and n != "identity"]
    if len(applied) > _MAX_STACKED:
        raise UnknownEncoding(f"more than {_MAX_STACKED} stacked content-encodings")
    found = [_one(n, max_output) for n in reversed(applied)]
    if not found:
        return _Identity()
    return found[0] if len(found) == 1 else _Stack(found)


def _one(name: str, limit: int) -> Decoder:
    match name:
        case "gzip" | "x-gzip":
            return _Zlib(limit, gzip=True)
        case "deflate":
            return _Zlib(limit, gzip=False)
        case "br":
            return _Brotli(limit)
        case "zstd":
            try:
                return _Zstd(limit)
            except zstd.Missing as e:
                raise UnknownEncoding("no library for zstd is installed") from e
        case _:
            raise UnknownEncoding(f"no decoder for content-encoding {name[:40]!r}")
