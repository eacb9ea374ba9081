"""zstd by whichever library is installed: one interface, that of compression.zstd.

| where | library |
|---|---|
| Python 3.14 | compression.zstd, in the standard library |
| Python 3.12 and 3.13 | backports.zstd, the same code; mitmproxy needs it from 12.3 on |
| beside mitmproxy 12.2 alone | zstandard, which mitmproxy needs there |
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any, Final, Protocol

__all__ = ["LIBRARIES", "Compressor", "Decompressor", "Missing", "ZstdError", "compress", "compressor", "decompressor"]

LIBRARIES: Final = ("compression.zstd", "backports.zstd", "zstandard")
"""In the order in which they are tried."""


class ZstdError(ValueError):
    """The bytes are not zstd."""


class Missing(LookupError):
    """None of the libraries is installed."""


class Decompressor(Protocol):
    """Of one frame (RFC 8878, 3.1)."""

    def decompress(self, data: bytes) -> bytes:
        """Everything that these bytes decode to. Raises ZstdError."""
        ...

    @property
    def eof(self) -> bool:
        """The frame is complete."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What follows the frame."""
        ...


class Compressor(Protocol):
    """Of one frame."""

    def feed(self, data: bytes) -> bytes:
        """All of it: a reader can decode everything that it has received."""
        ...

    def finish(self) -> bytes: ...


def decompressor(window_log: int) -> Decompressor:
    """A decompressor that refuses frames with a window over 2 ** window_log bytes. Raises Missing."""
    name, lib = _library()
    if name == "zstandard":
        made = lib.ZstdDecompressor(max_window_size=1 << window_log).decompressobj()
    else:
        made = lib.ZstdDecompressor(options={lib.DecompressionParameter.window_log_max: window_log})
    return _Decompressor(made, lib.ZstdError)


def compressor(window_log: int | None = None) -> Compressor:
    """A compressor, with that window if one is given. Raises Missing."""
    name, lib = _library()
    if name == "zstandard":
        parameters = lib.ZstdCompressionParameters.from_level(3, **({"window_log": window_log} if window_log else {}))
        return _Zstandard(lib.ZstdCompressor(compression_params=parameters).compressobj(), lib.COMPRESSOBJ_FLUSH_BLOCK)
    options = {lib.CompressionParameter.window_log: window_log} if window_log else None
    return _Standard(lib.ZstdCompressor(options=options))


def compress(data: bytes) -> bytes:
    """One frame. Raises Missing."""
    return bytes(_library()[1].compress(data))


@cache
def _library() -> tuple[str, Any]:
    for name in LIBRARIES:
        try:
            return name, importlib.import_module(name)
        except ImportError:
            continue
    raise Missing("no library for zstd is installed")


class _Decompressor:
    def __init__(self, made: Any, error: type[Exception]) -> None:
        self._made = made
        self._error = error

    def decompress(self, data: bytes) -> bytes:
        try:
            return bytes(self._made.decompress(data))
        except self._error as e:
            raise ZstdError(str(e)) from e

    @property
    def eof(self) -> bool:
        return bool(self._made.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._made.unused_data)


class _Standard:
    def __init__(self, made: Any) -> None:
        self._made = made

    def feed(self, data: bytes) -> bytes:
        return bytes(self._made.compress(data, self._made.FLUSH_BLOCK))

    def finish(self) -> bytes:
        return bytes(self._made.flush())


class _Zstandard:
    def __init__(self, made: Any, flush_block: int) -> None:
        self._made = made
        self._flush_block = flush_block

    def feed(self, data: bytes) -> bytes:
        return bytes(self._made.compress(data) + self._made.flush(self._flush_block))

    def finish(self) -> bytes:
        return bytes(self._made.flush())
