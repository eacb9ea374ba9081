"""Texts within texts: where characters of a value are written as escapes, it is read without them as well.

    postgres:\\/\\/ann:…@localhost      JSON as some libraries write it, in a tool's output or in another JSON string
    ann%40corp.com, sk\\u002dant…       URLs and forms, JSON for web pages
    &#64;, &quot;                       HTML
    ghp_<zero-width space>…            what a copy from a page or a chat brings along

Only the surroundings of escapes are read again, so that a text costs little more than before.
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
"""Bytes before and behind an escape that are read with it."""
_AT_LEAST: Final = 16_384
"""Bytes of surroundings that are read whatever the text; of larger texts an eighth."""

_CODE: Final = r"[2-7][0-9A-Fa-f]"
_ENTITY: Final = r"&(?:#[0-9]{2,3}|#[xX][0-9A-Fa-f]{2}|amp|quot|apos|lt|gt);"
_INVISIBLE: Final = r"\xE2\x80[\x8B-\x8F]|\xE2\x81\xA0|\xC2\xAD|\xEF\xBB\xBF"
TRIGGER: Final = rf"\\u00{_CODE}|\\/|%(?:25)?{_CODE}|{_ENTITY}|{_INVISIBLE}"
"""RE2 (Latin-1): a text without a match of it has no view."""
_ESCAPE: Final = re.compile(
    rf"\\{{1,8}}u00({_CODE})|\\{{1,8}}(/)|%(?:25){{0,3}}({_CODE})|({_ENTITY})|{_INVISIBLE}".encode("latin-1")
)


@dataclass(frozen=True, slots=True)
class UnescapedView:
    """A stretch of a text without its escapes."""

    plain: bytes
    low: int
    """Where in the text the stretch begins and ends."""
    high: int
    cut: tuple[bool, bool]
    """Whether the text goes on before it, and behind it."""
    _at: list[int]
    """Pieces that are as they were: where they begin here, and in the text; of an escape, where it begins."""
    _from: list[int]
    _escapes: frozenset[int]
    """Which of the pieces are what an escape stands for."""

    def original(self, start: int, end: int) -> Span | None:
        """Where in the text it stands; None for what may be another thing there, because the stretch was cut."""
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
    """The stretches around escapes, disjoint, in order."""
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
        if said := _said(m):
            escapes.append(len(at))
            add(said, m.start())
        done = m.end()
    add(data[done:high], done)
    return UnescapedView(b"".join(out), low, high, (low > 0, high < len(data)), at, origin, frozenset(escapes))


def _said(m: re.Match[bytes]) -> bytes:
    code = m[1] or m[3]
    if code:
        return bytes((int(code, 16),))
    if m[4]:
        return unescape(m[4].decode("ascii")).encode("utf-8")
    return m[2] or b""
