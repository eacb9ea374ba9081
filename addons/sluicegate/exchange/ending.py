"""Ending: how an exchange ends. Its methods are the only way to say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Ending", "Outcome"]

Outcome = Literal[
    "ok", "upstream_error", "error_in_answer", "refused", "failed", "truncated", "client_abort", "denied", "internal"
]
"""How an exchange ended.

ok: a complete answer below 400. upstream_error: a complete answer of 400 or above, from upstream. error_in_answer: one
below 400 in which the provider reports an error. refused: our own answer, nothing was sent. failed: no answer came from
upstream. truncated: an answer began and did not end well. client_abort: the client left first. denied: the seal stopped an
unreleased request. internal: a bug in the gate.
"""


@dataclass(slots=True)
class Ending:
    """The outcome of an exchange. The first outcome stands; `settle` fills in what is not set."""

    outcome: Outcome | None = None
    error: str | None = None
    """What went wrong, fit for a log: no body, no credential."""
    is_own: bool = False
    """The answer is the gate's own (refused, denied, failed or a bug), not the provider's."""
    abort: str | None = None
    """Set while the answer's headers are looked at: why it must not be passed on."""
    status: int | None = None
    """The HTTP status of the gate's own error answer, if it is not the one that the proxy core would choose."""

    def refused(self, error: str | None = None) -> None:
        """The gate answers by itself; nothing is sent."""
        self.outcome, self.is_own, self.error = "refused", True, error or self.error

    def denied(self) -> None:
        """The seal stopped the request."""
        self.outcome = "denied"

    def truncated(self) -> None:
        """An answer began, and does not come to its end."""
        self.outcome = "truncated"

    def internal(self, error: str | None = None) -> None:
        """A bug in the gate. `error`: the gate answers as well, and this is logged."""
        self.outcome = "internal"
        if error is not None:
            self.is_own, self.error = True, error

    def withhold(self, outcome: Outcome, reason: str) -> None:
        """The answer whose headers are looked at is not passed on; the client gets an error with this reason."""
        self.outcome, self.abort = outcome, reason

    def settle(self, outcome: Outcome, error: str | None) -> None:
        """The exchange is over; these are the values of what is not set yet."""
        self.outcome = self.outcome or outcome
        self.error = self.error or error

    def status_of(self, default: int) -> int:
        """The HTTP status of the gate's own error answer. `default`: what the proxy core would say."""
        return 500 if self.outcome in ("denied", "internal") else self.status or default
