"""core/attempts.py: what to do after a failed attempt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.attempts import LONGEST_WAIT_S, Backoff, Failed, GiveUp, Plan, Send, retry_after_s
from sluicegate.core.health import Health

TWO = ("first", "second")


def failed(target: int = 0, cause: str = "status", status: int | None = 500, **more: object) -> Failed:
    return Failed(target, cause, status, **more)  # type: ignore[arg-type]


def test_the_next_target_is_asked_at_once() -> None:
    """A healthy target that was not tried is asked without a wait."""
    assert Plan(TWO).after([failed(0)], Health(), 0, 0) == Send(1)


def test_one_target_is_asked_again_after_one_two_and_four_seconds() -> None:
    """Without a retry section: three retries at 1, 2, 4 s, then the client gets the failure."""
    plan, health, history, waits = Plan(("only",)), Health(), [], []
    while True:
        history.append(failed(0))
        decision = plan.after(history, health, 0, 0)
        if isinstance(decision, GiveUp):
            break
        waits.append(decision.after_s)
    assert waits == [1, 2, 4]


def test_a_stale_connection_is_replaced_at_once_and_not_counted() -> None:
    """The server closed an idle connection just as we used it: the same target, no wait, no attempt spent."""
    plan = Plan(("only",), attempts=1)
    assert plan.after([failed(0, "stale", None)], Health(), 0, 0) == Send(0)
    assert isinstance(plan.after([failed(0, "stale", None), failed(0, "stale", None)], Health(), 0, 0), GiveUp)


def test_what_must_not_happen_twice_is_sent_again_only_when_it_was_turned_away() -> None:
    """A batch whose answer was lost may exist already; one that was never received, or was refused, does not."""
    plan = Plan(("only",), repeatable=False)
    for cause in ("reset", "stale", "first_byte"):
        assert isinstance(plan.after([failed(0, cause, None)], Health(), 0, 0), GiveUp)
    assert isinstance(plan.after([failed(0, status=500)], Health(), 0, 0), GiveUp)
    assert not plan.retryable(500, None)
    assert plan.after([failed(0, "connect", None)], Health(), 0, 0) == Send(0, 1)
    assert plan.after([failed(0, status=429)], Health(), 0, 0) == Send(0, 1)


def test_a_pinned_request_stays_where_it_is() -> None:
    """Files and containers exist in one place: another target is never asked."""
    decision = Plan(TWO, pinned=True).after([failed(0)], Health(), 0, 0)
    assert decision == Send(0, 1)


def test_retry_after_is_waited_for_only_as_long_as_a_client_would() -> None:
    """Claude Code waits up to 60 s; beyond that the client is told, with the provider's own word."""
    plan = Plan(("only",))
    assert plan.after([failed(status=429, retry_after_s=7)], Health(), 0, 0) == Send(0, 7)
    decision = plan.after([failed(status=429, retry_after_s=LONGEST_WAIT_S + 1)], Health(), 0, 0)
    assert isinstance(decision, GiveUp)
    assert decision.retry_after_s == LONGEST_WAIT_S + 1


def test_a_limited_target_rests_and_is_probed_by_one() -> None:
    """After a 429 a target is passed over until its time is up; then one request tries it while others pass it over."""
    plan, health = Plan(TWO, cooldown_s=10), Health()
    plan.after([failed(0, status=429)], health, 0, 0)
    assert plan.first(health, 5) == Send(1)
    assert plan.first(health, 11) == Send(0)
    health.probe("first", 11)
    assert plan.first(health, 12) == Send(1)
    health.well("first")
    assert plan.first(health, 12) == Send(0)


def test_a_probe_that_never_ends_does_not_bench_a_target_for_ever() -> None:
    """A client that leaves in the middle of a probe must not leave the target unused."""
    health = Health()
    health.rest("first", 1)
    health.probe("first", 2)
    assert health.is_resting("first", 3)
    assert not health.is_resting("first", 1000)


def test_x_should_retry_false_spares_that_target_only() -> None:
    """The provider said no: another provider may still serve."""
    assert Plan(TWO).after([failed(0, should_retry=False)], Health(), 0, 0) == Send(1)
    assert isinstance(Plan(("only",)).after([failed(0, should_retry=False)], Health(), 0, 0), GiveUp)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["connect", "reset", "stale", "first_byte", "status", "first_event"]),
            st.sampled_from([None, 408, 429, 500, 529]),
            st.sampled_from([None, 0.0, 3.0, 1e6]),
        ),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 4),
    st.integers(1, 6),
    st.booleans(),
)
def test_it_always_ends(outcomes: list[tuple[str, int | None, float | None]], n: int, attempts: int, pinned: bool) -> None:
    """Whatever happens, no more than `attempts` counted attempts and one stale one are made, and no wait is too long."""
    plan = Plan([f"t{i}" for i in range(n)], attempts=attempts, pinned=pinned, backoff=Backoff(jitter=True))
    health, history, now = Health(), [], 0.0
    target = plan.first(health, now).target
    for cause, status, after in outcomes:
        history.append(Failed(target, cause, status, after))  # type: ignore[arg-type]
        decision = plan.after(history, health, now, 0.5)
        if isinstance(decision, GiveUp):
            break
        assert 0 <= decision.target < (1 if pinned else n)
        assert 0 <= decision.after_s <= LONGEST_WAIT_S
        now += decision.after_s
        target = decision.target
    assert len([f for f in history if f.cause != "stale"]) <= attempts


def test_retry_after_in_either_header() -> None:
    """Milliseconds win; nonsense and dates count as absent."""
    assert retry_after_s("3") == 3
    assert retry_after_s("3", "250") == 0.25
    for nonsense in ("", "soon", "-1", "nan", "inf", "Wed, 21 Oct 2026 07:28:00 GMT", None):
        assert retry_after_s(nonsense) is None
