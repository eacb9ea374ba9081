"""Ending: each way to end, and the status that goes with it."""

import pytest

from sluicegate.exchange.ending import Ending


def test_a_refusal_is_ours() -> None:
    """With its text for the log; without one the text comes later."""
    ending = Ending()
    ending.refused("no key")
    assert (ending.outcome, ending.is_own, ending.error) == ("refused", True, "no key")
    later = Ending()
    later.refused()
    later.settle("failed", "too large")
    assert (later.outcome, later.is_own, later.error) == ("refused", True, "too large")


def test_a_bug_is_ours_if_it_is_answered() -> None:
    """A bug in the middle of an answer leaves the answer the provider's."""
    ending = Ending()
    ending.internal()
    assert (ending.outcome, ending.is_own, ending.error) == ("internal", False, None)
    ending.internal("a bug in scrub: KeyError")
    assert (ending.is_own, ending.error) == (True, "a bug in scrub: KeyError")


def test_the_first_word_stands() -> None:
    """What was set before the end is not overwritten by it."""
    ending = Ending()
    ending.withhold("failed", "unfit")
    ending.settle("ok", "late")
    assert (ending.outcome, ending.abort, ending.error) == ("failed", "unfit", "late")
    truncated = Ending()
    truncated.truncated()
    truncated.settle("ok", None)
    assert truncated.outcome == "truncated"


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (Ending(), 502),
        (Ending(status=504), 504),
        (Ending("denied", status=504), 500),
        (Ending("internal"), 500),
        (Ending("refused"), 502),
    ],
)
def test_the_status_of_our_own_error(ending: Ending, status: int) -> None:
    """500 for a bug and for what the seal denied; else what was set, or what the proxy core would say."""
    assert ending.status_of(502) == status
