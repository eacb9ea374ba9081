"""The outcome of an exchange that nothing has ended before its time."""

from __future__ import annotations

from sluicegate.exchange.ending import Outcome
from sluicegate.exchange.exchange import Exchange

__all__ = ["outcome_of", "outcome_without_client"]


def outcome_without_client(x: Exchange) -> Outcome:
    """The outcome if the client disconnects. Some clients do so at a stream's last event, without waiting for its end."""
    facts = x.routing.call.facts if x.routing.call else None
    has_all = facts is not None and facts.ended and x.answer is None and x.status is not None
    return outcome_of(x) if has_all else "client_abort"


def outcome_of(x: Exchange) -> Outcome:
    """Of an answer that came to its end: its status, and what the provider reported inside of it."""
    if x.is_admin_endpoint:
        return "ok"
    if (x.status or 500) >= 400:
        return "upstream_error"
    facts = x.routing.call.facts if x.routing.call else None
    return "error_in_answer" if facts and facts.error_type else "ok"
