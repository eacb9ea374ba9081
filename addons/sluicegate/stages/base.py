"""What a stage is: up to six plain methods, and what becomes of a request when one of them has a bug.

    head(x)      the request's headers are there, its body is not    may raise Refused or set x.answer
    request(x)   the request is complete                             may raise Refused or set x.answer; may be async
    answer(x)    the answer's headers are there                      add taps, change headers (x.flow.response)
    settle(x)    the end, exactly once: x.ending.outcome says how it went   for every stage whose request work completed
    skipped(x)   the end of an exchange that did not come so far     for every other stage that did not step aside
    report(x)    what it knows of the exchange                       for every stage, before one settles that reads reports

Requests go through the stages in order, answers and ends in reverse. A stage is built from the settings, holds no state of
a single request (that lives on the Exchange, in a Slot), and is replaced as a whole when the settings change.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import ClassVar, Final

from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.slots import Slot
from sluicegate.exchange.taps import OnError
from sluicegate.services.services import Services
from sluicegate.settings import Settings

__all__ = ["REPORTS", "Stage"]

REPORTS: Final = Slot[Mapping[str, object]]("reports")
"""What all stages report of an exchange, merged: set before the `settle` of a stage that has `reads_reports`."""


class Stage:
    """Base of all stages: does nothing, fails closed."""

    name: ClassVar[str] = "stage"
    on_error: ClassVar[OnError] = "fail_closed"
    """A bug before sending: `closed` answers 500 and sends nothing; `aside` goes on with the request as the stage before
    left it. While streaming: `closed` breaks the stream off; `aside` takes the stage's tap out."""
    reads_answers: bool = False
    """The stage reads or changes what answers say: they pass it in the words of the Messages API, whatever the client and
    the provider speak. Without such a stage Chat Completions go through untranslated where both ends speak them."""
    sees_last: ClassVar[bool] = False
    """Its taps stand outside the step into the client's own format: it sees what the client gets."""
    reads_reports: ClassVar[bool] = False
    """Its `settle` reads REPORTS."""
    reads_websockets: bool = False
    """The stage must read what passes: WebSockets, which it can not, are refused where it runs."""

    def __init__(self, settings: Settings, services: Services) -> None:
        self.settings = settings
        self.services = services

    @classmethod
    def idle(cls, settings: Settings) -> bool:
        """Whether these settings leave it nothing to do: then it is left out of the policy, and costs nothing."""
        return False

    def head(self, x: Exchange) -> None:
        """The headers of a request are there."""

    def request(self, x: Exchange) -> Awaitable[None] | None:
        """The request is complete. Return an awaitable to wait; watch `x.life.until_gone()` meanwhile."""
        return None

    def answer(self, x: Exchange) -> None:
        """The headers of the answer are there, upstream's or our own."""

    def settle(self, x: Exchange) -> None:
        """The exchange is over."""

    def skipped(self, x: Exchange) -> None:
        """The exchange is over, and this stage's work on the request was never completed: a stage before it refused or
        waited until the client left, the stage itself refused, or the request was for one of the gate's own endpoints."""

    def report(self, x: Exchange) -> Mapping[str, object]:
        """What this stage knows of the finished exchange, by field of the audit record; {} if nothing.

        Called on every stage, also if its work on the request was not completed, just before a stage settles that has
        `reads_reports`: Audit is the outermost, so the other stages have settled by then. Values are JSON-ready; no body
        and no credential. If two stages report the same field, the stage further in wins. A field that Audit does not
        know is added at the end of the record.
        """
        return {}
