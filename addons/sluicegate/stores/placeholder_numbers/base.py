"""Ranks: which number a hidden value has in its conversation. A value is known here by a keyed digest and nothing else.

Ranks of one type count up from 1 in the order in which values were first asked for, and are never given to another value
as long as the conversation is remembered. One call is one atomic step, so that several processes (or, behind the same
protocol, several machines) agree.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

__all__ = ["MemoryPlaceholderNumbers", "PlaceholderNumbers", "TooManyValues", "ValueKey"]

ValueKey = tuple[str, bytes]
"""A placeholder's type, and a keyed digest."""

EXPIRY_S: Final = 30 * 86_400.0
"""A conversation is forgotten this long after its last request."""
MAX_CONVERSATIONS: Final = 20_000
MAX_VALUES: Final = 50_000
"""In one conversation."""
TOO_MANY: Final = "more than {most:,} values were hidden in one conversation; begin a new one"


class TooManyValues(ValueError):
    """A conversation holds more hidden values than are remembered for one."""


class PlaceholderNumbers(Protocol):
    """What a store of ranks offers."""

    def known(self, conversation: bytes, asked: Sequence[ValueKey]) -> Mapping[ValueKey, int] | None:
        """The ranks, where all of them are at hand without waiting; None otherwise."""
        ...

    async def ranks(self, conversation: bytes, asked: Sequence[ValueKey]) -> Mapping[ValueKey, int]:
        """The ranks; those not given yet are given now, in this order. StoreError, TooManyValues."""
        ...


class ConversationCache:
    """Ranks by conversation, in memory; the least recently used go first."""

    def __init__(self, clock: Callable[[], float], limit: int = MAX_CONVERSATIONS) -> None:
        self._clock = clock
        self._limit = limit
        self._kept: OrderedDict[bytes, tuple[float, dict[ValueKey, int]]] = OrderedDict()

    def get(self, conversation: bytes, asked: Sequence[ValueKey], within_s: float) -> Mapping[ValueKey, int] | None:
        """The ranks, if all are here and were put here at most `within_s` ago."""
        kept = self._kept.get(conversation)
        if kept is None or self._clock() - kept[0] > within_s:
            return None
        try:
            found = {a: kept[1][a] for a in asked}
        except KeyError:
            return None
        self._kept.move_to_end(conversation)
        return found

    def put(self, conversation: bytes, ranks: Mapping[ValueKey, int]) -> None:
        before = self._kept.get(conversation)
        self._kept[conversation] = self._clock(), {**(before[1] if before else {}), **ranks}
        self._kept.move_to_end(conversation)
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)

    def of(self, conversation: bytes) -> dict[ValueKey, int]:
        kept = self._kept.get(conversation)
        return kept[1] if kept and self._clock() - kept[0] <= EXPIRY_S else {}


class MemoryPlaceholderNumbers:
    """Ranks of one process, gone with it. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float], limit: int = MAX_CONVERSATIONS) -> None:
        self._conversations = ConversationCache(clock, limit)

    def known(self, conversation: bytes, asked: Sequence[ValueKey]) -> Mapping[ValueKey, int]:
        ranks = dict(self._conversations.of(conversation))
        assign_missing(ranks, asked)
        self._conversations.put(conversation, ranks)
        return {a: ranks[a] for a in asked}

    async def ranks(self, conversation: bytes, asked: Sequence[ValueKey]) -> Mapping[ValueKey, int]:
        return self.known(conversation, asked)


def assign_missing(ranks: dict[ValueKey, int], asked: Sequence[ValueKey]) -> list[tuple[ValueKey, int]]:
    """Give those that have none the next rank of their type; which were given."""
    missing = [a for a in dict.fromkeys(asked) if a not in ranks]
    if not missing:
        return []
    if len(ranks) + len(missing) > MAX_VALUES:
        raise TooManyValues(TOO_MANY.format(most=MAX_VALUES))
    highest: dict[str, int] = {}
    for (kind, _), n in ranks.items():
        highest[kind] = max(highest.get(kind, 0), n)
    given = []
    for a in missing:
        n = highest[a[0]] = highest.get(a[0], 0) + 1
        ranks[a] = n
        given.append((a, n))
    return given
