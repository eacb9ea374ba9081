"""Process state: one value for each key and place, closed once when the process ends."""

import pytest

from sluicegate.services.process_state import ProcessState, StateKey
from sluicegate.services.services import Services


class Value:
    """Reports when it is closed."""

    def __init__(self, name: str, closed: list[str]) -> None:
        self.name, self.closed = name, closed

    async def close(self) -> None:
        self.closed.append(self.name)


async def test_a_value_is_made_once_for_each_key_and_place() -> None:
    """The factory runs for the first caller only; another place, and another key of the same name, have their own."""
    state, key, alike = ProcessState(), StateKey[list[int]]("k"), StateKey[list[int]]("k")
    first = state.get(key, list)
    first.append(1)
    assert state.get(key, lambda: [2]) is first
    assert state.get(key, lambda: [3], "elsewhere") == [3]
    assert state.get(alike, lambda: [4]) == [4]
    assert state.get(key, list) == [1]


async def test_a_factory_that_fails_leaves_nothing() -> None:
    """Its error reaches the caller, and the next caller tries again."""
    state, key = ProcessState(), StateKey[int]("k")
    with pytest.raises(ZeroDivisionError):
        state.get(key, lambda: 1 // 0)
    assert state.get(key, lambda: 7) == 7


async def test_values_are_closed_once_the_latest_first() -> None:
    """Only those whose key says how."""
    closed: list[str] = []
    state, key = ProcessState(), StateKey("k", Value.close)
    for place in ("a", "b"):
        state.get(key, lambda place=place: Value(place, closed), place)  # type: ignore[misc]
    state.get(StateKey[Value]("no close"), lambda: Value("c", closed))
    for _ in range(2):
        await state.close(lambda e: None)
    assert closed == ["b", "a"]


async def test_an_error_on_closing_is_an_alarm_and_stops_no_other() -> None:
    """The services finish all values."""

    async def fails(value: str) -> None:
        raise KeyError(value)

    closed: list[str] = []
    services = Services({})
    services.state.get(StateKey("good", Value.close), lambda: Value("a", closed))
    services.state.get(StateKey("bad", fails), lambda: "b")
    await services.finish()
    assert closed == ["a"]
    assert services.alarms == {"services.finish": 1}
