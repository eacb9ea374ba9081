"""Estimate the input tokens of a Messages request, for providers that cannot count them.

The caller labels the result as an estimate. It is the sum of

    text            one token for 3.5 bytes of UTF-8: between English prose (4) and code or JSON (3)
    tools           their names, descriptions and schemas as JSON, and a tool prompt of 340 tokens
    images          width × height / 750, at most 1,600 tokens (docs.anthropic.com, "Vision"); 1,600 for an unknown size
    PDF documents   2,300 tokens a page ("PDF support": 1,500 to 3,000); if no pages are found, one for each 50 KB
    turns           4 tokens each
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from math import ceil
from typing import Any, Final

import msgspec

__all__ = ["estimate_input_tokens", "image_size"]

_BYTES_PER_TOKEN: Final = 3.5
_PER_TURN: Final = 4
_TOOL_PROMPT: Final = 340
_MOST_PER_IMAGE: Final = 1600
_PIXELS_PER_TOKEN: Final = 750
_PER_PAGE: Final = 2300
_BYTES_PER_PAGE: Final = 50_000
_MAX_PDF: Final = 16 * 1024 * 1024
_HEADER: Final = 64 * 1024
_MAX_DEPTH: Final = 20
_PAGE: Final = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")


def estimate_input_tokens(body: bytes) -> int:
    """The estimate for the body of a count_tokens or messages request; at least 1 for any body."""
    try:
        request = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        request = None
    if not isinstance(request, dict):
        return max(1, ceil(len(body) / _BYTES_PER_TOKEN))
    tokens = sum(_content(request.get("system"), 0))
    messages = request.get("messages")
    for message in messages if isinstance(messages, list) else ():
        tokens += _PER_TURN
        if isinstance(message, dict):
            tokens += sum(_content(message.get("content"), 0))
    tools = request.get("tools")
    if isinstance(tools, list) and tools:
        tokens += _TOOL_PROMPT + sum(_json(_without_marks(tool)) for tool in tools)
    return max(1, ceil(tokens))


def _text(value: str) -> float:
    return len(value.encode("utf-8", "replace")) / _BYTES_PER_TOKEN


def _json(value: object) -> float:
    try:
        return len(msgspec.json.encode(value)) / _BYTES_PER_TOKEN
    except RecursionError:  # not too deep to read, but too deep to write
        return 0


def _without_marks(tool: object) -> object:
    return {k: v for k, v in tool.items() if k != "cache_control"} if isinstance(tool, dict) else tool


def _content(content: object, depth: int) -> Iterator[float]:
    if isinstance(content, str):
        yield _text(content)
    elif isinstance(content, list) and depth < _MAX_DEPTH:
        for block in content:
            if isinstance(block, dict):
                yield from _block(block, depth)


def _block(block: dict[str, Any], depth: int) -> Iterator[float]:
    source = block.get("source")
    match block.get("type"):
        case "image":
            yield _image(source)
        case "document":
            for key in ("title", "context"):
                yield from _content(block.get(key), depth)
            yield from _document(source, depth)
        case "tool_use" | "server_tool_use":
            yield _json([block.get("name"), block.get("input")])
        case "redacted_thinking":
            pass
        case _:
            for key in ("text", "thinking", "content", "title", "source"):
                yield from _content(block.get(key), depth + 1)


def _document(source: object, depth: int) -> Iterator[float]:
    if not isinstance(source, dict):
        return
    data = source.get("data")
    if source.get("type") == "base64":
        yield _pages(data) * _PER_PAGE
    elif source.get("type") == "text":
        yield from _content(data, depth)
    elif source.get("type") == "content":
        yield from _content(source.get("content"), depth + 1)
    else:
        yield _PER_PAGE


def _pages(data: object) -> int:
    if not isinstance(data, str):
        return 1
    found = len(_PAGE.findall(_decoded(data))) if len(data) <= _MAX_PDF else 0
    return found or ceil(len(data) * 3 / 4 / _BYTES_PER_PAGE) or 1


def _image(source: object) -> float:
    data = source.get("data") if isinstance(source, dict) else None
    size = image_size(_decoded(data[:_HEADER])) if isinstance(data, str) else None
    return min(_MOST_PER_IMAGE, ceil(size[0] * size[1] / _PIXELS_PER_TOKEN)) if size else _MOST_PER_IMAGE


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data[: len(data) // 4 * 4])
    except (binascii.Error, ValueError):
        return b""


def image_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from the header of a PNG, GIF, WebP or JPEG; None if it has none."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        return _big(data, 16, 4), _big(data, 20, 4)
    if data.startswith((b"GIF87a", b"GIF89a")) and len(data) >= 10:
        return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) >= 30:
        return _webp(data)
    return _jpeg(data) if data.startswith(b"\xff\xd8") else None


def _big(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")


def _webp(data: bytes) -> tuple[int, int] | None:
    little = int.from_bytes
    match data[12:16]:
        case b"VP8 ":
            return little(data[26:28], "little") & 0x3FFF, little(data[28:30], "little") & 0x3FFF
        case b"VP8L":
            bits = little(data[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return little(data[24:27], "little") + 1, little(data[27:30], "little") + 1
        case _:
            return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    """Walk the segments to the start of frame (ITU T.81, B.2.2)."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _big(data, at + 7, 2), _big(data, at + 5, 2)
        at += 1 if marker == 0xFF else 2 + max(2, _big(data, at + 2, 2))
    return None
