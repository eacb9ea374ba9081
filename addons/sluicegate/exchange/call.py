"""Call: one piece of upstream work, which may serve several exchanges. Failure: an attempt of it that failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mitmproxy import http

from sluicegate.core.messages.usage import ResponseFacts, ResponseReader
from sluicegate.exchange.release import Target

if TYPE_CHECKING:
    from sluicegate.core.formats.chat.usage import ChatReader
    from sluicegate.core.routing.attempts import Cause

__all__ = ["Call", "Failure"]


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that failed before the client saw a byte of its answer."""

    cause: Cause
    message: str
    status: int | None = None
    headers: http.Headers | None = None
    """Of the provider's answer, if there was one."""
    body: bytes = field(default=b"", repr=False)
    """What has arrived of its body, without the content encoding if it could be decoded."""


@dataclass(slots=True, eq=False)
class Call:
    """One piece of upstream work: its target, and what the provider's bytes say about it.

    It may come to serve several Exchanges; it settles once, whatever happens to them.
    """

    target: Target
    started: float
    """Monotonic seconds."""
    first_byte: float | None = None
    status: int | None = None
    reader: ResponseReader | ChatReader | None = None
    settled: bool = False
    on_settle: list[Callable[[Call], None]] = field(default_factory=list)

    @property
    def facts(self) -> ResponseFacts | None:
        return self.reader.facts if self.reader else None

    def settle(self) -> None:
        """End the accounting: read the rest, call `on_settle`. Later calls do nothing."""
        if self.settled:
            return
        self.settled = True
        if self.reader:
            self.reader.end()
        for fn in self.on_settle:
            fn(self)
