"""Process-wide state of the stages: it outlives a policy, so that a reload of the configuration loses nothing.

A stage declares a key for each kind of state, and gets its value with `services.state.get(KEY, factory, place)`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, cast

__all__ = ["ProcessState", "StateKey"]


class StateKey[T]:
    """A kind of state. Two keys are never the same, even with the same name."""

    __slots__ = ("close", "name")

    def __init__(self, name: str, close: Callable[[T], Awaitable[None]] | None = None) -> None:
        self.name = name
        self.close = close
        """Called once for each value before the process ends."""

    def __repr__(self) -> str:
        return f"StateKey({self.name!r})"


class ProcessState:
    """Values by key and place."""

    def __init__(self) -> None:
        self._values: dict[tuple[StateKey[Any], Hashable], Any] = {}
        self._to_close: list[Callable[[], Awaitable[None]]] = []

    def get[T](self, key: StateKey[T], factory: Callable[[], T], place: Hashable = None) -> T:
        """The value of this key at this place, such as the URL of a store; made by `factory` the first time."""
        if (key, place) in self._values:
            return cast("T", self._values[key, place])
        value = self._values[key, place] = factory()
        if (close := key.close) is not None:
            self._to_close.append(lambda: close(value))
        return value

    async def close(self, on_error: Callable[[Exception], None]) -> None:
        """Close the values whose key says how, the latest first. An error in one does not stop the others."""
        while self._to_close:
            try:
                await self._to_close.pop()()
            except Exception as e:  # noqa: BLE001 - reported to the caller
                on_error(e)
