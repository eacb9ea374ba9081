"""Who calls: the Caller that Identity puts on an exchange, for limits, cache, audit and bills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Caller", "Mode", "Period"]

Mode = Literal["open", "keys", "passthrough"]
Period = Literal["hour", "day", "week", "month"]


@dataclass(frozen=True, slots=True)
class Caller:
    """One caller, as far as the gate knows it. Holds no secret: all of it may be logged and shown."""

    key_id: str
    """Stable and public: the virtual key's id (it survives a rotation), else a keyed hash of the credential, else
    "anonymous". Never a key."""
    name: str | None = None
    team: str | None = None
    user: str | None = None
    project: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    """Cost centres and the like; the key's own over its team's."""
    models: tuple[str, ...] = ()
    """Patterns (`*` for any part) of the models that the caller may ask for; () for all."""
    budget_usd: Mapping[Period, float] | None = None
    """The key's own budget, US dollars per period; None where it has none of its own."""
    mode: Mode = "open"
    """How it was told: open tells nobody apart for certain, keys by a key of ours, passthrough by its own credential."""
