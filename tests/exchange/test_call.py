"""Call: it settles once."""

from sluicegate.exchange.call import Call
from sluicegate.exchange.release import Target

TARGET = Target(True, "api.anthropic.com", 443)


def test_a_call_settles_once() -> None:
    """Whoever settles it, those who wait are told one time."""
    told: list[Call] = []
    call = Call(TARGET, 0.0, on_settle=[told.append])
    call.settle()
    call.settle()
    assert told == [call]
