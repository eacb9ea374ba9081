"""The states of a stream's attempts, as a table: what may follow what. All transitions go through `AttemptState.enter`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

__all__ = ["TRANSITIONS", "AttemptState", "IllegalTransition", "State", "diagram"]

State = Literal["idle", "sending", "waiting", "collecting", "peeking", "buffering", "deciding", "committed", "given up"]

Event = Literal["send", "sent", "error status", "beginning", "whole answer", "answer", "failure", "retry", "give up"]

TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = {
    "idle": {"send": "sending", "give up": "given up"},
    "sending": {"sent": "waiting", "failure": "deciding", "give up": "given up"},
    "waiting": {
        "error status": "collecting",
        "beginning": "peeking",
        "whole answer": "buffering",
        "answer": "committed",
        "failure": "deciding",
        "give up": "given up",
    },
    "collecting": {"answer": "committed", "failure": "deciding", "give up": "given up"},
    "peeking": {"answer": "committed", "failure": "deciding", "give up": "given up"},
    "buffering": {"answer": "committed", "failure": "deciding", "give up": "given up"},
    "deciding": {"retry": "sending", "answer": "committed", "give up": "given up"},
    "committed": {"give up": "given up"},
    "given up": {},
}
"""By state and event, the next state. `give up`: the client gets an error of ours. What is not here is a bug."""


class IllegalTransition(Exception):
    """A bug: an event in a state that it cannot come in."""


class AttemptState:
    """Where the attempts of one stream are."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now: State = "idle"

    def enter(self, event: Event) -> None:
        """Go to the next state. Raises IllegalTransition."""
        following = TRANSITIONS[self.now].get(event)
        if following is None:
            raise IllegalTransition(f"{event!r} in state {self.now!r}")
        self.now = following


def diagram() -> str:
    """The table as text, one line per transition."""
    lines = []
    for state, row in TRANSITIONS.items():
        for n, (event, following) in enumerate(row.items()):
            lines.append(f"{'' if n else state:<10}  ── {event} {'─' * (14 - len(event))}► {following}")
    return "\n".join(lines)
