"""The steps of an answer on a connection: bytes to write, pauses, and ways to break off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Last:
    """The answer's last bytes. The call is settled before they are sent, so that a client that has them finds the bill."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """End the connection here: `eof` closes after the written bytes, `reset` sends a TCP RST."""

    how: Literal["eof", "reset"]


class Stream(Protocol):
    """The handler of a connection after an upgrade."""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Bytes to send back, and whether to close after them."""
        ...


@dataclass(frozen=True, slots=True)
class Upgrade:
    stream: Stream


type Step = bytes | Last | Pause | Cut | Upgrade
type Steps = Iterator[Step]
