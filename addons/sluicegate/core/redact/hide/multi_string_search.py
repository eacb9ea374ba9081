"""Searches many texts for many exact strings at once, in one pass that is linear in their length."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import re2

__all__ = ["MultiStringSearch", "search_texts"]

_HEAD: Final = 48
"""Bytes of a needle in the automaton; the rest is compared."""
_AT_ONCE: Final = 2000
"""Heads in one automaton."""
_MAX_MEMORY: Final = 64 << 20


def _options() -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes
    options.longest_match = True
    options.max_mem = _MAX_MEMORY
    options.log_errors = False
    return options


def compile_bytes(pattern: bytes) -> Any:
    """An RE2 pattern over bytes."""
    return re2.compile(pattern, _options())


def search_texts(
    pattern: Any, texts: Sequence[str], *, overlapping: bool = False
) -> Iterator[tuple[int, bytes, int, int, int]]:
    """The matches in all texts: text index, text as bytes, start and end of the match in bytes, start in characters."""
    encoded = [t.encode("utf-8", "surrogatepass") for t in texts]
    joined = b"\0".join(encoded)
    starts = list(accumulate((len(e) + 1 for e in encoded), initial=0))
    pos = 0
    last, at_byte, at_character = -1, 0, 0
    while m := pattern.search(joined, pos):
        begin, end = m.span()
        pos = begin + 1 if overlapping or end == begin else end
        index = bisect_right(starts, begin) - 1
        data, start, stop = encoded[index], begin - starts[index], end - starts[index]
        if stop > len(data):
            continue  # spans two texts
        if index != last:
            last, at_byte, at_character = index, 0, 0
        at_character += len(data[at_byte:start].decode("utf-8", "surrogatepass"))
        at_byte = start
        yield index, data, start, stop, at_character


class MultiStringSearch:
    """Needle → payload."""

    def __init__[T](self, needles: Mapping[str, T]) -> None:
        self._by_head: dict[bytes, list[tuple[bytes, str, Any]]] = {}
        for needle, what in needles.items():
            data = needle.encode("utf-8", "surrogatepass")
            self._by_head.setdefault(data[:_HEAD], []).append((data, needle, what))
        for found in self._by_head.values():
            found.sort(key=lambda known: -len(known[0]))
        heads = list(self._by_head)
        self._patterns = [
            compile_bytes(
                b"|".join(re2.escape(h.decode("latin-1")).encode("latin-1") for h in heads[first : first + _AT_ONCE])
            )
            for first in range(0, len(heads), _AT_ONCE)
        ]

    def find(self, texts: Sequence[str]) -> Iterable[tuple[int, int, int, Any]]:
        """Text index, start and end in characters, and payload of each match, including overlapping ones."""
        for pattern in self._patterns:
            yield from self._matches(pattern, texts)

    def _matches(self, pattern: Any, texts: Sequence[str]) -> Iterator[tuple[int, int, int, Any]]:
        for index, data, start, end, character in search_texts(pattern, texts, overlapping=True):
            for needle, text, what in self._candidates(data[start:end]):
                if data.startswith(needle, start):
                    yield index, character, character + len(text), what
                    break

    def _candidates(self, matched: bytes) -> Iterator[tuple[bytes, str, Any]]:
        """The needles whose head is the matched one, or a prefix of it."""
        for length in range(len(matched), 0, -1):
            yield from self._by_head.get(matched[:length], ())
