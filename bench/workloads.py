"""The workloads: Messages requests of four kinds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

__all__ = ["STREAM_EVENTS", "WORKLOADS", "Workload"]

STREAM_EVENTS: Final = 100
_LINE: Final = 'He said "so it goes", and wrote\tsum(row[i] * 3 for i in range(n))  # naïve: O(n²)\n'
_LINES_A_BLOCK: Final = 40


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of request; `count` per round, over all connections together."""

    name: str
    body_bytes: int
    count: int
    stream: bool = False

    @property
    def knobs(self) -> str:
        """The simulator's `x-sim` header: prompt answers of a known size; the events of a stream far enough apart
        that each is a read of its own.
        """
        return f"events={STREAM_EVENTS};delay_ms=1" if self.stream else "text=ok"

    def scaled(self, divisor: int) -> int:
        """The number of requests, divided, but at least one."""
        return max(2, self.count // divisor)

    def body(self) -> bytes:
        """A valid Messages request of exactly `body_bytes`: a long user turn, in text blocks as agents send them."""
        full = {"type": "text", "text": _LINE * _LINES_A_BLOCK}
        one_more = len(_encode(full)) + 2
        blocks = [full] * ((self.body_bytes - len(self._request([]))) // one_more)
        rest = self.body_bytes - len(self._request([*blocks, {"type": "text", "text": ""}]))
        return self._request([*blocks, {"type": "text", "text": "x" * rest}])

    def _request(self, blocks: list[dict[str, str]]) -> bytes:
        message = {"role": "user", "content": blocks}
        return _encode({"model": "claude-haiku-4-5", "max_tokens": 64, "stream": self.stream, "messages": [message]})


def _encode(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


WORKLOADS: Final = (
    Workload("4 KB JSON", 4_000, 400),
    Workload("100 KB JSON", 100_000, 200),
    Workload("2 MB JSON", 2_000_000, 20),
    Workload("stream", 4_000, 60, stream=True),
)
