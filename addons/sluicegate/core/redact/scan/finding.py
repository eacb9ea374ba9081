"""What was found in a text, and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = ["Finder", "Finding", "Tier"]

Tier = Literal["secret", "identifier"]
"""secret: a credential, hidden as `<TYPE_N>`; identifier: something about a person, hidden as `<TYPE_HMAC:XXXXXXXX>`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One stretch of a text that must not leave. The text itself is not kept."""

    start: int
    """Offsets into the str: `text[start:end]` is the value."""
    end: int
    type: str
    """The placeholder's type in upper case, such as ANTHROPIC_KEY or EMAIL."""
    rule: str
    """The rule's id, such as anthropic_key or gitleaks:github-pat."""
    tier: Tier


class Finder(Protocol):
    def find(self, text: str) -> tuple[Finding, ...]:
        """All findings of one text, in order; no two overlap."""
        ...
