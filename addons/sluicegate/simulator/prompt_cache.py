"""Prompt-cache accounting by prefix: https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching.

Entries are written at breakpoints only. A call reads the longest prefix that an earlier call of the same
workspace and model wrote and that lies at one of its breakpoints or up to 19 blocks before one.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from sluicegate.simulator.models import family
from sluicegate.simulator.prompt import PromptBlock, Ttl

LOOKBACK_BLOCKS = 20  # positions checked for each breakpoint, itself the first
MAX_ENTRIES = 100_000
TTL_S: dict[Ttl, float] = {"5m": 300.0, "1h": 3600.0}


@dataclass(frozen=True, slots=True)
class InputTokens:
    """The tokens of a prompt, disjoint."""

    fresh: int
    read: int = 0
    write_5m: int = 0
    write_1h: int = 0

    @property
    def total(self) -> int:
        return self.fresh + self.read + self.write_5m + self.write_1h


@dataclass(slots=True)
class _Entry:
    ttl: Ttl
    expires: float


class PromptCache:
    """`clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()

    def clear(self) -> None:
        self._entries.clear()

    def account(self, workspace: str, model: str, blocks: Sequence[PromptBlock]) -> InputTokens:
        """Split the prompt's tokens, refresh the entries read and store the entries written."""
        ends = list(accumulate(block.tokens for block in blocks))
        total = ends[-1] if ends else 0
        least = family(model).min_cache_tokens
        marks = [i for i, block in enumerate(blocks) if block.breakpoint and ends[i] >= least]
        if not marks:
            return InputTokens(total)
        keys = _prefix_keys(workspace, model, blocks)
        hit = self._longest_hit(keys, marks)
        read = ends[hit] if hit >= 0 else 0
        written: dict[Ttl, int] = {"5m": 0, "1h": 0}
        done = read
        for mark in marks:
            ttl = blocks[mark].breakpoint
            assert ttl is not None
            self._write(keys[mark], ttl)
            if ends[mark] > done:
                written[ttl] += ends[mark] - done
                done = ends[mark]
        return InputTokens(total - done, read, written["5m"], written["1h"])

    def _longest_hit(self, keys: Sequence[bytes], marks: Sequence[int]) -> int:
        """The last block of the longest cached prefix, or -1; refreshes its entry."""
        longest = -1
        for mark in marks:
            for position in range(mark, max(mark - LOOKBACK_BLOCKS, -1), -1):
                if self._live(keys[position]) is not None:
                    self._refresh(keys[position])
                    longest = max(longest, position)
                    break
        return longest

    def _live(self, key: bytes) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is not None and entry.expires <= self._clock():
            del self._entries[key]
            return None
        return entry

    def _refresh(self, key: bytes) -> None:
        entry = self._entries[key]
        entry.expires = self._clock() + TTL_S[entry.ttl]
        self._entries.move_to_end(key)

    def _write(self, key: bytes, ttl: Ttl) -> None:
        if self._live(key) is not None:  # read, or part of a longer prefix that was read: not charged again
            self._refresh(key)
            return
        self._entries[key] = _Entry(ttl, self._clock() + TTL_S[ttl])
        while len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)


def _prefix_keys(workspace: str, model: str, blocks: Sequence[PromptBlock]) -> list[bytes]:
    """A key for every prefix: each hash covers all blocks before."""
    running = hashlib.blake2b(f"{workspace}\0{model}\0".encode(), digest_size=16)
    keys: list[bytes] = []
    for block in blocks:
        running.update(len(block.content).to_bytes(8) + block.content)
        keys.append(running.copy().digest())
    return keys
