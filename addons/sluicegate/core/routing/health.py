"""The health of targets by name, over all requests of one gate: which cool down, until when, and which are probed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

__all__ = ["Health"]

PROBE_S: Final = 30.0
"""How long a probe may take before another one is let through."""


@dataclass(slots=True)
class Health:
    """Times are monotonic seconds, given by the caller."""

    resting: dict[str, float] = field(default_factory=dict)
    paced: set[str] = field(default_factory=set)
    """The resting targets that only turned requests away for the rest of a minute."""
    probing: dict[str, float] = field(default_factory=dict)
    """Until when another request's probe of a target is waited for."""

    def cool_down(self, name: str, until: float, *, paced: bool = False) -> None:
        """Do not use a target until a time; never shortens a longer cool-down."""
        if until >= self.resting.get(name, 0.0):
            self.resting[name] = until
            (self.paced.add if paced else self.paced.discard)(name)
        self.probing.pop(name, None)

    def mark_healthy(self, name: str) -> None:
        """A target answered, or its name now stands for another one."""
        if name in self.resting:
            self.resting.pop(name, None)
            self.paced.discard(name)
        self.probing.pop(name, None)

    def is_resting(self, name: str, now: float) -> bool:
        """Whether to pass a target over. The first to ask after its rest probes it; others still pass it over."""
        until = self.resting.get(name)
        if until is None:
            return False
        return now < until or now < self.probing.get(name, 0.0)

    def is_paced(self, name: str, now: float) -> bool:
        """Whether a target rests only until its minute is over."""
        return name in self.paced and now < self.resting.get(name, 0.0)

    def probe(self, name: str, now: float) -> None:
        """A request is about to try a target whose rest is over."""
        if name in self.resting:
            self.probing[name] = now + PROBE_S

    def probe_failed(self, name: str) -> None:
        """The probe of a target has failed."""
        self.probing.pop(name, None)

    def wakes_at(self, name: str) -> float:
        return self.resting.get(name, 0.0)
