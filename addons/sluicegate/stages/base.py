"""A stage: up to six plain methods, and what happens to a request when one of them raises.

    head(x)      the request's headers have arrived, its body has not    may raise Refused or set x.answer
    request(x)   the request is complete                                 may raise Refused or set x.answer; may be async
    answer(x)    the response headers have arrived                       add taps, change headers (x.flow.response)
    settle(x)    the end, exactly once; x.ending has the outcome         for every stage whose request() completed
    skipped(x)   the end                                                 for every other stage, unless it was skipped
    report(x)    the stage's fields of the audit record                  for every stage, just before Audit settles

Requests go through the stages in order, responses and ends in reverse. A stage is built from the settings, keeps no state
of a single request (that is on the Exchange, in a Slot), and is replaced as a whole when the settings change.
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
"""The merged reports of all stages: set before the `settle` of a stage that has `reads_reports`."""


class Stage:
    """Base of all stages: does nothing, fails closed."""

    name: ClassVar[str] = "stage"
    on_error: ClassVar[OnError] = "fail_closed"
    """After an exception before sending, `fail_closed` answers 500 and sends nothing; `skip` continues with the request as
    the previous stage left it. While streaming, `fail_closed` ends the stream visibly; `skip` removes the stage's tap."""
    reads_answers: bool = False
    """The stage reads or changes the content of responses, so they pass it in the Messages format, whatever the formats of
    client and provider. Without such a stage, Chat Completions pass untranslated if both ends use them."""
    sees_last: ClassVar[bool] = False
    """Its taps come after the translation into the client's format: it sees the bytes that the client gets."""
    reads_reports: ClassVar[bool] = False
    """Its `settle` reads REPORTS."""
    reads_websockets: bool = False
    """The stage must read all traffic. It cannot read WebSockets, so they are refused if it runs."""

    def __init__(self, settings: Settings, services: Services) -> None:
        self.settings = settings
        self.services = services

    @classmethod
    def idle(cls, settings: Settings) -> bool:
        """Whether the stage has nothing to do under these settings. It is then left out of the policy and costs nothing."""
        return False

    def head(self, x: Exchange) -> None:
        """The request's headers have arrived."""

    def request(self, x: Exchange) -> Awaitable[None] | None:
        """The request is complete. Return an awaitable to wait; watch `x.life.until_gone()` meanwhile."""
        return None

    def answer(self, x: Exchange) -> None:
        """The response headers have arrived, from upstream or from the gate itself."""

    def settle(self, x: Exchange) -> None:
        """The exchange is over."""

    def skipped(self, x: Exchange) -> None:
        """The exchange is over, and this stage's `request` was not completed: an earlier stage refused or waited until the
        client left, this stage refused, or the request was for one of the gate's own endpoints."""

    def report(self, x: Exchange) -> Mapping[str, object]:
        """What this stage knows of the finished exchange, by field of the audit record; {} if nothing.

        Called on every stage, even if its `request` was not completed, just before a stage settles that has
        `reads_reports`: Audit is the outermost, so the other stages have settled by then. Values are JSON-ready, without
        bodies and credentials. If two stages report the same field, the inner stage wins. A field that Audit does not know
        is added at the end of the record.
        """
        return {}
