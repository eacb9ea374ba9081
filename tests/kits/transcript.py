"""Tests of the proxy core that read as transcripts: what comes in, what goes out, in order.

await (
    Transcript(book)
    >> FromClient(REQUEST)
    << Dial("api.test:80")
    << ToServer(b"POST /v1/messages")
    >> ServerLeaves()
    << Hook("sluicegate_failed")
    << ToClient(b"HTTP/1.1 502")
)

Between two `>>` everything that goes out must be named; bytes are matched by what they contain. Only hooks of our own show.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from kits.playbook import Playbook

__all__ = [
    "ClientLeaves",
    "Closed",
    "Dial",
    "FromClient",
    "FromServer",
    "Hook",
    "ServerLeaves",
    "TimeIsUp",
    "ToClient",
    "ToServer",
    "Transcript",
]


# -- what comes in
@dataclass(frozen=True, slots=True)
class FromClient:
    data: bytes

    async def happen(self, book: Playbook) -> None:
        await book.client(self.data)


@dataclass(frozen=True, slots=True)
class FromServer:
    data: bytes

    async def happen(self, book: Playbook) -> None:
        await book.server(self.data)


@dataclass(frozen=True, slots=True)
class ClientLeaves:
    async def happen(self, book: Playbook) -> None:
        await book.client_leaves()


@dataclass(frozen=True, slots=True)
class ServerLeaves:
    async def happen(self, book: Playbook) -> None:
        await book.server_leaves()


@dataclass(frozen=True, slots=True)
class TimeIsUp:
    """The timer that is armed rings: of the deadlines, or of the pings."""

    of: str = "deadlines"

    async def happen(self, book: Playbook) -> None:
        await book.ring(self.of)


Incoming = FromClient | FromServer | ClientLeaves | ServerLeaves | TimeIsUp


# -- what goes out
@dataclass(frozen=True, slots=True)
class Dial:
    address: str


@dataclass(frozen=True, slots=True)
class ToServer:
    data: bytes


@dataclass(frozen=True, slots=True)
class ToClient:
    data: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    side: str
    """`client` or `server`."""


@dataclass(frozen=True, slots=True)
class Hook:
    name: str


Outgoing = Dial | ToServer | ToClient | Closed | Hook


class Transcript:
    def __init__(self, book: Playbook) -> None:
        self.book = book
        self._steps: list[tuple[Incoming, list[Outgoing]]] = []

    def __rshift__(self, event: Incoming) -> Transcript:
        self._steps.append((event, []))
        return self

    def __lshift__(self, expected: Outgoing) -> Transcript:
        self._steps[-1][1].append(expected)
        return self

    def __await__(self) -> Generator[Any, Any, None]:
        return self._play().__await__()

    async def _play(self) -> None:
        for event, expected in self._steps:
            self.book.trace.clear()
            await event.happen(self.book)
            seen = _merged([_read(kind, what) for kind, what in self.book.trace])
            assert len(seen) == len(expected), f"after {event}:\n  expected {expected}\n  seen     {seen}"
            for wanted, got in zip(expected, seen, strict=True):
                assert _matches(wanted, got), f"after {event}:\n  expected {wanted}\n  seen     {got}"


def _read(kind: str, what: Any) -> Outgoing:
    match kind:
        case "dial":
            return Dial(what)
        case "to server":
            return ToServer(what)
        case "to client":
            return ToClient(what)
        case "close":
            return Closed(what)
        case _:
            return Hook(what)


def _merged(trace: list[Outgoing]) -> list[Outgoing]:
    """Pieces that go the same way one after the other are one."""
    out: list[Outgoing] = []
    for entry in trace:
        if out and isinstance(entry, ToServer) and isinstance(out[-1], ToServer):
            out[-1] = ToServer(out[-1].data + entry.data)
        elif out and isinstance(entry, ToClient) and isinstance(out[-1], ToClient):
            out[-1] = ToClient(out[-1].data + entry.data)
        else:
            out.append(entry)
    return out


def _matches(wanted: Outgoing, got: Outgoing) -> bool:
    if isinstance(wanted, ToServer | ToClient) and type(got) is type(wanted):
        return wanted.data in got.data
    return wanted == got
