"""Looking for many exact strings in many texts at once, in one pass that is linear in their length."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import re2

__all__ = ["Sweep", "stretches"]

_HEAD: Final = 48
"""Bytes of a needle that the automaton knows; the rest is compared."""
_MAX_MEMORY: Final = 64 << 20


def _options() -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes
    options.longest_match = True
    options.max_mem = _MAX_MEMORY
    options.log_errors = False
    return options


def compiled(pattern: bytes) -> Any:
    """An RE2 pattern over bytes."""
    return re2.compile(pattern, _options())


def stretches(pattern: Any, texts: Sequence[str], *, overlapping: bool = False) -> Iterator[tuple[int, bytes, int, int]]:
    """The matches in all texts: the text's index, its bytes, and where in them a match starts and ends."""
    encoded = [t.encode("utf-8", "surrogatepass") for t in texts]
    joined = b"\0".join(encoded)
    starts = list(accumulate((len(e) + 1 for e in encoded), initial=0))
    pos = 0
    while m := pattern.search(joined, pos):
        start, end = m.span()
        index = bisect_right(starts, start) - 1
        if end - starts[index] <= len(encoded[index]):
            yield index, encoded[index], start - starts[index], end - starts[index]
        pos = start + 1 if overlapping or end == start else end


def characters(data: bytes, end: int) -> int:
    """How many characters the first `end` bytes are."""
    return len(data[:end].decode("utf-8", "surrogatepass"))


class Sweep:
    """Needles, each with what is known of it."""

    def __init__[T](self, needles: Mapping[str, T]) -> None:
        self._by_head: dict[bytes, list[tuple[bytes, Any]]] = {}
        for needle, what in needles.items():
            data = needle.encode("utf-8", "surrogatepass")
            self._by_head.setdefault(data[:_HEAD], []).append((data, what))
        for found in self._by_head.values():
            found.sort(key=lambda pair: -len(pair[0]))
        heads = (re2.escape(h.decode("latin-1")).encode("latin-1") for h in self._by_head)
        self._pattern = compiled(b"|".join(heads)) if self._by_head else None

    def find(self, texts: Sequence[str]) -> Iterable[tuple[int, int, int, Any]]:
        """Index of the text, start and end in characters, and what is known of the needle; overlapping ones included."""
        if self._pattern is None:
            return
        for index, data, start, end in stretches(self._pattern, texts, overlapping=True):
            for needle, what in self._candidates(data[start:end]):
                if data.startswith(needle, start):
                    first = characters(data, start)
                    yield index, first, first + characters(needle, len(needle)), what
                    break

    def _candidates(self, matched: bytes) -> Iterator[tuple[bytes, Any]]:
        """Needles by the head that was matched, and by shorter heads that begin it."""
        for length in range(len(matched), 0, -1):
            yield from self._by_head.get(matched[:length], ())
