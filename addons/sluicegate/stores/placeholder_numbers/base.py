"""Placeholder numbers: the N of `<TYPE_N>` of each hidden value in a conversation. A store sees digests, never values.

The numbers of a type count up from 1 in the order of first use, and are never reused while the conversation is stored. A
call is one atomic step, so that several processes (or, with Redis, several machines) agree.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

__all__ = ["MemoryPlaceholderNumbers", "PlaceholderNumbers", "TooManyValues", "ValueKey"]

ValueKey = tuple[str, bytes]
"""A placeholder type, and the keyed digest of a value."""

EXPIRY_S: Final = 30 * 86_400.0
"""A conversation is deleted this long after its last request."""
MAX_CONVERSATIONS: Final = 20_000
MAX_VALUES: Final = 50_000
"""Per conversation."""
TOO_MANY: Final = "more than {most:,} hidden values in one conversation; start a new conversation"


class TooManyValues(ValueError):
    """The conversation has reached MAX_VALUES."""


class PlaceholderNumbers(Protocol):
    def cached(self, conversation: bytes, keys: Sequence[ValueKey]) -> Mapping[ValueKey, int] | None:
        """The numbers, if all of them are available without I/O; None otherwise."""
        ...

    async def assign(self, conversation: bytes, keys: Sequence[ValueKey]) -> Mapping[ValueKey, int]:
        """The numbers; missing ones are assigned now, in this order. Raises StoreError and TooManyValues."""
        ...

    async def close(self) -> None: ...


class ConversationCache:
    """Numbers by conversation, in memory, with LRU eviction."""

    def __init__(self, clock: Callable[[], float], limit: int = MAX_CONVERSATIONS) -> None:
        self._clock = clock
        self._limit = limit
        self._kept: OrderedDict[bytes, tuple[float, dict[ValueKey, int]]] = OrderedDict()

    def get(self, conversation: bytes, keys: Sequence[ValueKey], within_s: float) -> Mapping[ValueKey, int] | None:
        """The numbers, if all are cached and at most `within_s` old."""
        kept = self._kept.get(conversation)
        if kept is None or self._clock() - kept[0] > within_s:
            return None
        try:
            found = {key: kept[1][key] for key in keys}
        except KeyError:
            return None
        self._kept.move_to_end(conversation)
        return found

    def put(self, conversation: bytes, numbers: Mapping[ValueKey, int]) -> None:
        before = self._kept.get(conversation)
        self._kept[conversation] = self._clock(), {**(before[1] if before else {}), **numbers}
        self._kept.move_to_end(conversation)
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)

    def remembered(self, conversation: bytes) -> dict[ValueKey, int]:
        kept = self._kept.get(conversation)
        return kept[1] if kept and self._clock() - kept[0] <= EXPIRY_S else {}


class MemoryPlaceholderNumbers:
    """In memory, lost with the process. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float], limit: int = MAX_CONVERSATIONS) -> None:
        self._conversations = ConversationCache(clock, limit)

    def cached(self, conversation: bytes, keys: Sequence[ValueKey]) -> Mapping[ValueKey, int]:
        numbers = dict(self._conversations.remembered(conversation))
        assign_missing(numbers, keys)
        self._conversations.put(conversation, numbers)
        return {key: numbers[key] for key in keys}

    async def assign(self, conversation: bytes, keys: Sequence[ValueKey]) -> Mapping[ValueKey, int]:
        return self.cached(conversation, keys)

    async def close(self) -> None:
        pass


def assign_missing(numbers: dict[ValueKey, int], keys: Sequence[ValueKey]) -> list[tuple[ValueKey, int]]:
    """Assign the next number of its type to each key without one; returns the assignments."""
    missing = [key for key in dict.fromkeys(keys) if key not in numbers]
    if not missing:
        return []
    if len(numbers) + len(missing) > MAX_VALUES:
        raise TooManyValues(TOO_MANY.format(most=MAX_VALUES))
    highest: dict[str, int] = {}
    for (kind, _), n in numbers.items():
        highest[kind] = max(highest.get(kind, 0), n)
    assigned = []
    for key in missing:
        n = highest[key[0]] = highest.get(key[0], 0) + 1
        numbers[key] = n
        assigned.append((key, n))
    return assigned
