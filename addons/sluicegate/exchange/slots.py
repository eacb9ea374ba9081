"""Slot: a typed place on each Exchange for the state of one stage, or of the chain."""

from __future__ import annotations

from sluicegate.exchange.exchange import Exchange

__all__ = ["Slot"]


class Slot[T]:
    """State of one kind, at most one value per exchange. The owner makes one Slot at import and keeps it to itself.

    `name` is for error messages. What a slot holds is let go at the end of the exchange.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def set(self, x: Exchange, value: T) -> T:
        x.slots[self] = value
        return value

    def find(self, x: Exchange) -> T | None:
        """The exchange's value, or None."""
        return x.slots.get(self)  # type: ignore[return-value]

    def __getitem__(self, x: Exchange) -> T:
        """The exchange's value. Raises KeyError if it has none."""
        return x.slots[self]  # type: ignore[return-value]

    def __repr__(self) -> str:
        return f"Slot({self.name!r})"
