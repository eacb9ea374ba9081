"""The script: a queue of behaviours for the next calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from sluicegate.core.routing.routes import matches
from sluicegate.simulator.behaviour import BehaviourError, behaviour

FOREVER = -1
_ANSWERING = ("/v1/messages", "/chat/completions", "/invoke", "/invoke-with-response-stream", "awPredict")


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The calls that an entry matches. Without `path`: requests for a message, in any wire format."""

    path: str | None = None  # a pattern (`*`, `?`) for the path's end
    model: str | None = None  # a pattern for the whole name
    method: str | None = None
    credential: str | None = None
    stream: bool | None = None


class Asked(msgspec.Struct, frozen=True):
    """The facts of a call that entries match on."""

    method: str
    path: str
    model: str
    credential: str
    stream: bool


class _Entry:
    __slots__ = ("knobs", "match", "times")

    def __init__(self, raw: Mapping[str, Any]) -> None:
        knobs = dict(raw)
        try:
            self.times = msgspec.convert(knobs.pop("times", 1), int)
            self.match = msgspec.convert(knobs.pop("match", {}), Match)
        except msgspec.ValidationError as error:
            raise BehaviourError(str(error)) from None
        if self.times < FOREVER or self.times == 0:
            raise BehaviourError("times: expected a positive number, or -1 for no limit")
        behaviour(knobs)  # reject wrong knobs here, not at the call
        self.knobs = knobs

    def fits(self, asked: Asked) -> bool:
        match = self.match
        if match.path is None:
            counts = asked.path.endswith("/count-tokens:rawPredict")
            if asked.method != "POST" or not asked.path.endswith(_ANSWERING) or counts:
                return False
        elif not matches(f"*{match.path}", asked.path):
            return False
        return (
            (match.model is None or matches(match.model, asked.model))
            and match.method in (None, asked.method)
            and match.credential in (None, asked.credential)
            and match.stream in (None, asked.stream)
        )

    def dump(self) -> dict[str, Any]:
        match = {name: value for name, value in msgspec.structs.asdict(self.match).items() if value is not None}
        return {"times": self.times, "match": match, **self.knobs}


class Script:
    """Entries in order; each call takes the first match; an entry without knobs is a plain call."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def set(self, entries: Iterable[Mapping[str, Any]], *, append: bool = False) -> None:
        """Replace (or extend) the queue. On a wrong entry it raises BehaviourError and changes nothing."""
        parsed = [_Entry(entry) for entry in entries]
        self._entries = [*self._entries, *parsed] if append else parsed

    def take(self, asked: Asked) -> Mapping[str, Any] | None:
        """The knobs for this call, or None; counts the entry down."""
        for entry in self._entries:
            if entry.fits(asked):
                if entry.times != FOREVER:
                    entry.times -= 1
                    if entry.times == 0:
                        self._entries = [other for other in self._entries if other is not entry]
                return entry.knobs
        return None

    def dump(self) -> list[dict[str, Any]]:
        return [entry.dump() for entry in self._entries]
