"""Content encodings, decoded incrementally: gzip, deflate, br, zstd, and stacks of them (RFC 9110, 8.4)."""

from __future__ import annotations

import zlib
from typing import Any, Final, Protocol

__all__ = ["DecodeError", "Decoder", "UnknownEncoding", "decoder"]

MAX_OUTPUT: Final = 256 * 1024 * 1024


class DecodeError(ValueError):
    """The bytes are not what the encoding says, or decode to too much."""


class UnknownEncoding(ValueError):
    """No decoder for this content-encoding."""


class Decoder(Protocol):
    def feed(self, data: bytes) -> bytes: ...

    def end(self) -> bytes: ...


class _Zlib:
    """gzip, zlib-wrapped or raw deflate. Output is taken in pieces, so a bomb is noticed before it is held whole."""

    def __init__(self, wbits: int, limit: int) -> None:
        self._d = zlib.decompressobj(wbits)
        self._raw = wbits == zlib.MAX_WBITS
        self._left = limit
        self._any = False

    def feed(self, data: bytes) -> bytes:
        out: list[bytes] = []
        while data:
            if self._d.eof:
                if not self._d.unused_data and not data.strip(b"\0"):
                    break
                self._d = zlib.decompressobj(zlib.MAX_WBITS | 16)  # another gzip member follows
            try:
                piece = self._d.decompress(data, min(self._left, 1 << 20) + 1)
            except zlib.error as e:
                if self._raw and not self._any:
                    self._d, self._raw = zlib.decompressobj(-zlib.MAX_WBITS), False
                    continue
                raise DecodeError(f"corrupt deflate data: {e}") from e
            self._any = True
            self._left -= len(piece)
            if self._left < 0:
                raise DecodeError("the body decodes to too much")
            out.append(piece)
            data = self._d.unconsumed_tail or (self._d.unused_data if self._d.eof else b"")
        return b"".join(out)

    def end(self) -> bytes:
        try:
            return self._d.flush() if not self._d.eof else b""
        except zlib.error as e:
            raise DecodeError(f"corrupt deflate data: {e}") from e


class _Wrapped:
    """brotli and zstd: the libraries give all output at once, so the limit is checked after each feed."""

    def __init__(self, decode: Any, limit: int) -> None:
        self._decode = decode
        self._left = limit

    def feed(self, data: bytes) -> bytes:
        try:
            out: bytes = self._decode(data)
        except Exception as e:
            raise DecodeError(f"corrupt data: {type(e).__name__}") from e
        self._left -= len(out)
        if self._left < 0:
            raise DecodeError("the body decodes to too much")
        return out

    def end(self) -> bytes:
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
    """A decoder for a Content-Encoding header. UnknownEncoding where there is none."""
    names = [n.strip().lower() for n in content_encoding.split(",") if n.strip()]
    found = [_one(n, max_output) for n in reversed(names) if n != "identity"]
    if not found:
        return _Identity()
    return found[0] if len(found) == 1 else _Stack(found)


def _one(name: str, limit: int) -> Decoder:
    if name in ("gzip", "x-gzip"):
        return _Zlib(zlib.MAX_WBITS | 16, limit)
    if name == "deflate":
        return _Zlib(zlib.MAX_WBITS, limit)
    if name == "br":
        import brotli

        return _Wrapped(brotli.Decompressor().process, limit)
    if name == "zstd":
        import zstandard

        return _Wrapped(zstandard.ZstdDecompressor().decompressobj(read_across_frames=True).decompress, limit)
    raise UnknownEncoding(f"no decoder for content-encoding {name[:40]!r}")
