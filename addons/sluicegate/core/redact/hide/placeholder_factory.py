"""Makes placeholder names: `PlaceholderFactory` for a conversation, `AssignedPlaceholders` for one of its requests."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from sluicegate.core.redact.hide.placeholders import Grammar
from sluicegate.core.redact.rules.rule import Tier, type_name

__all__ = ["AssignedPlaceholders", "PlaceholderFactory", "ValueKey"]

ValueKey = tuple[str, bytes]
"""A type, and the keyed digest of a value: the only form in which a store of placeholder numbers sees a value."""


@dataclass(frozen=True, slots=True)
class PlaceholderFactory:
    """How the values of one conversation are named."""

    key: bytes
    conversation: bytes
    """The key under which the conversation's numbers are stored: a keyed digest, as it is stored."""
    grammar: Grammar
    numbered: bool = True
    """Secrets are numbered, by a store. If False, every name is a keyed hash, and no state is stored."""

    def digest(self, kind: str, value: str, attempt: int = 0, tier: Tier = "secret") -> bytes:
        """Of an identifier, the same in every conversation, so that requests can be correlated; of a secret, different."""
        within = self.conversation if tier == "secret" else b""
        message = b"\0".join((b"%d" % attempt, kind.encode(), within, value.encode("utf-8", "surrogatepass")))
        return hmac.digest(self.key, message, "sha256")[:16]

    def one_way(self, kind: str, value: str) -> str:
        """A written placeholder that is never restored, and is the same in every conversation."""
        kind = type_name(kind)
        return self.grammar.written(self.grammar.hashed(kind, self.digest(kind, value, 1, "identifier")))


class AssignedPlaceholders:
    """The names assigned in one request; no two values share a name."""

    def __init__(self, factory: PlaceholderFactory, numbers: Mapping[ValueKey, int]) -> None:
        self.factory = factory
        self.values: dict[str, str] = {}
        """Name → the value that replaces it in the answer."""
        self._numbers = numbers
        self._names: dict[tuple[str, str], str] = {}

    def name_of(self, kind: str, value: str, tier: Tier, *, restore_as: str | None = None) -> str:
        name = self._names.get((kind, value))
        if name is None:
            name = self._names[kind, value] = self._new(kind, value, tier)
            self.values[name] = value if restore_as is None else restore_as
        return name

    def _new(self, kind: str, value: str, tier: Tier) -> str:
        factory = self.factory
        if factory.numbered and tier == "secret":
            return factory.grammar.numbered(kind, self._numbers[kind, factory.digest(kind, value)])
        attempt = 1
        while (name := factory.grammar.hashed(kind, factory.digest(kind, value, attempt, tier))) in self.values:
            attempt += 1
        return name
