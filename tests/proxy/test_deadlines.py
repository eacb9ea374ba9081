"""proxy/deadlines.py: how long an attempt may take, and what its timer says."""

from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy.proxy import commands, events

from sluicegate.proxy import deadlines
from sluicegate.proxy.deadlines import Deadlines, Overdue
from sluicegate.settings.timeouts import Timeouts

LIMITS = Timeouts(first_byte_s=30, idle_s=20, total_s=100)


class FakeTimer:
    def __init__(self, stream: Any, delay_s: float) -> None:
        self.wake, self.delay_s, self.cancelled = commands.RequestWakeup(delay_s), delay_s, False

    def cancel(self) -> None:
        self.cancelled = True


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Deadlines:
    monkeypatch.setattr(deadlines, "Timer", FakeTimer)
    stream: Any = SimpleNamespace()
    made = Deadlines(stream)
    made.sent = 1000.0
    return made


@pytest.mark.parametrize(
    ("now", "streams", "left"),
    [(1000, True, 30), (1000, False, 100), (1029, True, 1), (1031, True, 0), (1031, False, 69), (1101, False, 0)],
)
def test_the_beginning_of_an_answer(limits: Deadlines, now: float, streams: bool, left: float) -> None:
    """A stream begins within first_byte_s; anything else has as long as the whole attempt."""
    assert limits.patience_s(LIMITS, now, streams=streams) == left


@pytest.mark.parametrize(("now", "heard", "wait"), [(1010, 1010, 20), (1010, 1000, 10), (1090, 1085, 10), (1095, 1094, 5)])
def test_a_stream_that_goes_on(limits: Deadlines, now: float, heard: float, wait: float) -> None:
    """Looked at again when it would have been silent for idle_s, or when its time is up."""
    assert limits.silence(LIMITS, now, heard) == wait


@pytest.mark.parametrize(
    ("now", "heard", "why"),
    [(1050, 1030, "sent nothing for 20 s"), (1100, 1099, "timeouts.total_s"), (1200, 1000, "total_s")],
)
def test_a_stream_that_is_overdue(limits: Deadlines, now: float, heard: float, why: str) -> None:
    """Silent for idle_s, or longer under way than total_s."""
    verdict = limits.silence(LIMITS, now, heard)
    assert isinstance(verdict, Overdue)
    assert why in verdict


def test_one_timer_at_a_time(limits: Deadlines) -> None:
    """Arming again cancels the previous one; one that was cancelled, or belongs to another, does not ring."""
    limits.arm(5)
    first: Any = limits._timer
    limits.arm(7)
    second: Any = limits._timer
    assert first.cancelled
    assert not second.cancelled
    assert not limits.rang(events.Wakeup(first.wake))
    assert limits.rang(events.Wakeup(second.wake))
    assert not limits.rang(events.Wakeup(second.wake))
    limits.arm(1)
    third: Any = limits._timer
    limits.disarm()
    assert third.cancelled
    assert not limits.rang(events.Wakeup(third.wake))
