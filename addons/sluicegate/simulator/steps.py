"""What a connection does for an answer, step by step: bytes to write, pauses, and ways to break off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Last:
    """The answer's last bytes: the call is settled before they go, so that who has read them finds the bill."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """End the connection here: `eof` closes after what was written, `reset` sends a TCP RST."""

    how: Literal["eof", "reset"]


class Stream(Protocol):
    """What takes over a connection after an upgrade."""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Bytes to send back, and whether to close after them."""
        ...


@dataclass(frozen=True, slots=True)
class Upgrade:
    stream: Stream


type Step = bytes | Last | Pause | Cut | Upgrade
type Steps = Iterator[Step]
