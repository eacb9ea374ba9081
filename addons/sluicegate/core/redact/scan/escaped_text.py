"""Escape sequences: text around them is scanned a second time, with the escapes decoded.

    postgres:\\/\\/ann:…@localhost      JSON as some libraries write it, in a tool's output or in another JSON string
    ann%40corp.com, sk\\u002dant…       URLs and forms, JSON in web pages
    &#64;, &quot;                       HTML
    ghp_<zero-width space>…            invisible characters copied from a page or a chat

Only a window around each escape is scanned again, which keeps the extra cost small.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import Final

from sluicegate.core.redact.rules.rule import Span

__all__ = ["TRIGGER", "UnescapedView", "unescaped_views"]

_AROUND: Final = 200
"""Bytes before and after an escape that are scanned with it."""
_AT_LEAST: Final = 16_384
"""Bytes that may be scanned again in any text; in larger texts, an eighth of the text."""

_CODE: Final = r"[2-7][0-9A-Fa-f]"
_ENTITY: Final = r"&(?:#[0-9]{2,3}|#[xX][0-9A-Fa-f]{2}|amp|quot|apos|lt|gt);"
_INVISIBLE: Final = r"\xE2\x80[\x8B-\x8F]|\xE2\x81\xA0|\xC2\xAD|\xEF\xBB\xBF"
TRIGGER: Final = rf"\\u00{_CODE}|\\/|%(?:25)?{_CODE}|{_ENTITY}|{_INVISIBLE}"
"""RE2 (Latin-1): a text without a match has no views."""
_ESCAPE: Final = re.compile(
    rf"\\{{1,8}}u00({_CODE})|\\{{1,8}}(/)|%(?:25){{0,3}}({_CODE})|({_ENTITY})|{_INVISIBLE}".encode("latin-1")
)


@dataclass(frozen=True, slots=True)
class UnescapedView:
    """A window of a text with its escapes decoded."""

    plain: bytes
    low: int
    """Where the window starts and ends in the text."""
    high: int
    cut: tuple[bool, bool]
    """Whether the text continues before the window, and after it."""
    _at: list[int]
    """Where each piece (an unchanged part, or a decoded escape) starts in `plain`, and in the text."""
    _from: list[int]
    _escapes: frozenset[int]
    """Indices of the pieces that are decoded escapes."""

    def original(self, start: int, end: int) -> Span | None:
        """The span in the text; None if the match touches an edge of the window, so that the text may differ there."""
        first, last = self._piece(start), self._piece(end - 1)
        begin = self._from[first] + (start - self._at[first])
        stop = self._end(last) if last in self._escapes else self._from[last] + (end - self._at[last])
        has_escape = first != last or first in self._escapes
        at_edge = (self.cut[0] and start == 0) or (self.cut[1] and end == len(self.plain))
        return None if at_edge and not has_escape else (begin, stop)

    def _piece(self, at: int) -> int:
        return bisect_right(self._at, at) - 1

    def _end(self, piece: int) -> int:
        return self._from[piece + 1] if piece + 1 < len(self._from) else self.high


def unescaped_views(data: bytes) -> Iterator[UnescapedView]:
    """The windows around escapes, disjoint, in order."""
    left = max(_AT_LEAST, len(data) // 8)
    low = high = 0
    for m in _ESCAPE.finditer(data):
        start, end = m.start() - _AROUND, min(m.end() + _AROUND, len(data))
        if high and start <= high and end - low <= left:
            high = end
            continue
        if high:
            yield _view(data, low, high)
            left -= high - low
        low, high = max(high, start), end
        if high - low > left:
            return
    if high:
        yield _view(data, low, high)


def _view(data: bytes, low: int, high: int) -> UnescapedView:
    out: list[bytes] = []
    at: list[int] = []
    origin: list[int] = []
    escapes: list[int] = []
    size, done = 0, low

    def add(piece: bytes, begin: int) -> None:
        nonlocal size
        if piece:
            at.append(size)
            origin.append(begin)
            out.append(piece)
            size += len(piece)

    for m in _ESCAPE.finditer(data, low, high):
        add(data[done : m.start()], done)
        if decoded := _decoded(m):
            escapes.append(len(at))
            add(decoded, m.start())
        done = m.end()
    add(data[done:high], done)
    return UnescapedView(b"".join(out), low, high, (low > 0, high < len(data)), at, origin, frozenset(escapes))


def _decoded(m: re.Match[bytes]) -> bytes:
    code = m[1] or m[3]
    if code:
        return bytes((int(code, 16),))
    if m[4]:
        return unescape(m[4].decode("ascii")).encode("utf-8")
    return m[2] or b""
