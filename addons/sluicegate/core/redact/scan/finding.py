"""A finding: which part of a text has to be hidden, and which rule found it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sluicegate.core.redact.rules.rule import Tier

__all__ = ["Finder", "Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A span of a text. The text itself is not kept."""

    start: int
    """Offsets into the str: `text[start:end]` is the value."""
    end: int
    type: str
    """The placeholder type in upper case, such as ANTHROPIC_KEY or EMAIL."""
    rule: str
    """The id of the rule, such as anthropic_key or gitleaks:github-pat."""
    tier: Tier


class Finder(Protocol):
    def find(self, text: str) -> tuple[Finding, ...]:
        """All findings in a text, in order, without overlaps."""
        ...
