"""proxy/attempt_states.py: the table is the machine."""

import pytest

from sluicegate.proxy.attempt_states import TRANSITIONS, AttemptState, IllegalTransition


def test_each_transition_of_the_table_is_made() -> None:
    """From each state, each of its events leads where the table says."""
    for before, row in TRANSITIONS.items():
        for event, after in row.items():
            state = AttemptState()
            state.now = before
            state.enter(event)
            assert state.now == after


def test_what_is_not_in_the_table_raises() -> None:
    """An answer in a state that waits for none: a bug, and the state stays."""
    state = AttemptState()
    with pytest.raises(IllegalTransition, match="'answer' in state 'idle'"):
        state.enter("answer")
    assert state.now == "idle"


def test_the_states_hang_together() -> None:
    """Every state can be reached, every one but the last can be left, and a committed answer is never retried."""
    reached = {"idle"} | {after for row in TRANSITIONS.values() for after in row.values()}
    assert reached == set(TRANSITIONS)
    assert [state for state, row in TRANSITIONS.items() if not row] == ["given up"]
    assert set(TRANSITIONS["committed"].values()) == {"given up"}
    assert all("failure" not in TRANSITIONS[state] for state in ("idle", "deciding", "committed", "given up"))
