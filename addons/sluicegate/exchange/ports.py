"""What an Exchange sees of the rooms above it: the policy in force, and the attempts that the router makes."""

from __future__ import annotations

from typing import Protocol

from sluicegate.settings import Settings
from sluicegate.settings.timeouts import Timeouts

__all__ = ["PolicyPort"]


class PolicyPort(Protocol):
    """The configuration that an exchange is served by. A reload makes another one; an exchange keeps its own."""

    settings: Settings
    decrypts: frozenset[str]
    """Hosts whose TLS the regular door opens."""
    reads_answers: bool
    """Whether answers pass the stages as answers of the Messages API."""
    relays_websockets: bool

    def timeouts_for(self, provider: str) -> Timeouts:
        """The time limits of a provider; the general ones for a name that is not configured."""
        ...
