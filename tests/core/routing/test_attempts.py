"""core/routing/attempts.py: what to do after a failed attempt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.routing.attempts import (
    FREE,
    LONGEST_WAIT_S,
    Backoff,
    Failed,
    GiveUp,
    Plan,
    Queue,
    Send,
    final_retry_after_s,
    retry_after_s,
)
from sluicegate.core.routing.health import Health

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
    health.mark_healthy("first")
    assert plan.first(health, 12) == Send(0)


def test_a_probe_that_never_ends_does_not_bench_a_target_for_ever() -> None:
    """A client that leaves in the middle of a probe must not leave the target unused."""
    health = Health()
    health.cool_down("first", 1)
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
            st.sampled_from(["connect", "reset", "stale", "returned", "first_byte", "status", "first_event"]),
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
    assert len([f for f in history if f.cause not in FREE]) <= attempts


def told(retry_after: str | None, ms: str | None = None, date: str | None = None, now: float = 0.0) -> float | None:
    return retry_after_s({"retry-after": retry_after, "retry-after-ms": ms, "date": date}, now)


def test_retry_after_in_either_header() -> None:
    """Milliseconds win; fractions count; nonsense counts as absent, and what is absurd as very long."""
    assert told("3") == 3
    assert told("0.25") == 0.25
    assert told("3", "250") == 0.25
    assert told("3", "soon") == 3
    assert told("99999999999") == told("1e300") == 1e8
    for nonsense in ("", "soon", "-1", "nan", "inf", "1e999", "Wed, 99 Oct 2026 07:28:00 GMT", "\x00", None):
        assert told(nonsense) is None


def test_retry_after_as_a_date() -> None:
    """It counts from the answer's own date, else from our clock; one that has passed means now."""
    at = "Wed, 21 Oct 2026 07:28:00 GMT"
    assert told(at, date="Wed, 21 Oct 2026 07:27:30 GMT", now=5e9) == 30
    assert told(at, now=1792567680.0 - 45) == 45
    assert told(at, now=5e9) == 0


def test_an_overload_rests_a_day_at_most() -> None:
    """A target that says three years is looked at again tomorrow; a spent quota lasts as long as it says."""
    for spent, until in ((False, 86_400), (True, 10**7)):
        health = Health()
        Plan(TWO).after([failed(0, status=429, retry_after_s=1e7, spent=spent)], health, 0, 0)
        assert health.wakes_at("first") == until


def test_a_request_given_back_is_sent_again_at_once_whatever_it_does() -> None:
    """The provider has not looked at it: also one that must not arrive twice; the first time is not counted."""
    once = Plan(("only",), attempts=3, repeatable=False)
    back = failed(0, "returned", None)
    assert once.after([back], Health(), 0, 0) == Send(0)
    assert once.after([back, back], Health(), 0, 0) == Send(0, 2.0)
    assert isinstance(once.after([failed(0, "stale", None)], Health(), 0, 0), GiveUp)


def test_a_session_waits_for_its_paced_key() -> None:
    """Turned away for a minute: not the next key of the pool, whose cache is cold; another provider is asked."""
    keys = Plan(("a#1", "a#2"), pools=(0, 0), sticky=True)
    assert keys.after([failed(0, status=429, retry_after_s=20)], Health(), 0, 0) == Send(0, 20)
    elsewhere = Plan(("a#1", "a#2", "b"), pools=(0, 0, 1), sticky=True)
    assert elsewhere.after([failed(0, status=429, retry_after_s=20)], Health(), 0, 0) == Send(2)
    nobodys = Plan(("a#1", "a#2"), pools=(0, 0))
    assert nobodys.after([failed(0, status=429, retry_after_s=20)], Health(), 0, 0) == Send(1)


def test_a_session_whose_paced_key_is_to_be_left_alone_gives_up() -> None:
    """429 with x-should-retry: false: neither its own key is asked again nor, for the prompt cache's sake, the next one."""
    plan = Plan(["a#1", "a#2"], pools=[0, 0], sticky=True)
    last = Failed(0, "status", 429, 3.0, should_retry=False)
    assert plan.after([last], Health(), 0.0, 0.0) == GiveUp("the provider said not to try again", 3.0)
    elsewhere = Plan(["a#1", "a#2", "b"], pools=[0, 0, 1], sticky=True)
    assert elsewhere.after([last], Health(), 0.0, 0.0) == Send(2)


def test_a_new_request_heeds_the_pacing() -> None:
    """The session's next request waits from the start; one without a session takes the key that is awake."""
    health = Health()
    health.cool_down("a#1", 20, paced=True)
    assert Plan(("a#1", "a#2"), pools=(0, 0), sticky=True).first(health, 5) == Send(0, 15)
    assert Plan(("a#1", "a#2", "b"), pools=(0, 0, 1), sticky=True).first(health, 5) == Send(2)
    assert Plan(("a#1", "a#2"), pools=(0, 0)).first(health, 5) == Send(1)
    assert Plan(("a#1",)).first(health, 5) == Send(0, 15)
    assert Plan(("a#1",)).first(health, 21) == Send(0)


def test_those_who_wait_for_one_instant_come_back_one_by_one() -> None:
    """With jitter a wait is never shorter than the provider asked, and at most a tenth longer."""
    plan = Plan(("only",), backoff=Backoff(jitter=True))
    waits = [plan.after([failed(status=429, retry_after_s=20)], Health(), 0, n / 10) for n in range(10)]
    assert all(isinstance(w, Send) and 20 <= w.after_s < 22 for w in waits)
    assert len(set(waits)) == 10


def test_a_spent_key_is_not_waited_for() -> None:
    """The next key at once; when all are spent, the client is told when the first is back."""
    plan = Plan(("a#1", "a#2"), pools=(0, 0), sticky=True)
    one = failed(0, status=429, retry_after_s=7200, spent=True)
    assert plan.after([one], Health(), 0, 0) == Send(1)
    both = plan.after([one, failed(1, status=429, retry_after_s=3600, spent=True)], Health(), 0, 0)
    assert isinstance(both, GiveUp)
    assert both.retry_after_s == 3600


def test_the_queue_is_the_last_rung() -> None:
    """5, 10, 20 … s up to its cap, until for_s is over; without a free place the client gets its answer at once."""
    plan = Plan(("only",), attempts=1, queue=Queue(1, Backoff(5, 2, 60), 100))
    health, history, now, waits = Health(), [], 0.0, []
    while True:
        history.append(failed(0))
        decision = plan.after(history, health, now, 0, began=0, room=True)
        if isinstance(decision, GiveUp):
            break
        assert decision.queued
        waits.append(decision.after_s)
        now += decision.after_s
    assert waits == [5, 10, 20, 40]
    assert isinstance(plan.after([failed(0)], Health(), 0, 0, began=0, room=False), GiveUp)


def test_the_queue_waits_as_long_as_it_was_told() -> None:
    """A place in the queue is worth more than a minute; a wait that would outlast it is not begun."""
    plan = Plan(("only",), attempts=1, queue=Queue(1, Backoff(5, 2, 60), 300))
    assert plan.after([failed(status=429, retry_after_s=90)], Health(), 0, 0, began=0, room=True) == Send(
        0, 90, queued=True
    )
    assert isinstance(plan.after([failed(status=429, retry_after_s=301)], Health(), 0, 0, began=0, room=True), GiveUp)


def test_clients_never_give_up_sooner_through_us() -> None:
    """Above a minute clients give up at once: told only where no target can serve before that."""
    assert final_retry_after_s(None, 0) is None
    assert final_retry_after_s(30, 0) is None
    assert final_retry_after_s(3600, 12.2) == 13
    assert final_retry_after_s(3600, 0) == 1
    assert final_retry_after_s(3600, 3000) is None


TRIES = st.tuples(
    st.sampled_from(["connect", "pool", "write", "reset", "stale", "returned", "first_byte", "status", "first_event"]),
    st.sampled_from([None, 401, 408, 429, 500, 529]),
    st.sampled_from([None, 0.0, 3.0, 58.0, 90.0, 1e6]),
    st.booleans(),
)


@given(st.lists(TRIES, min_size=1, max_size=60), st.integers(1, 4), st.booleans(), st.floats(0, 0.999))
def test_with_a_queue_it_ends_as_well(
    outcomes: list[tuple[str, int | None, float | None, bool]], n: int, sticky: bool, chance: float
) -> None:
    """Whatever happens: no wait begins that the queue's time would not hold, spent keys are not asked, and it ends."""
    plan = Plan(
        [f"t{i}" for i in range(n)],
        attempts=3,
        pools=[i // 2 for i in range(n)],
        sticky=sticky,
        queue=Queue(9, Backoff(5), 200),
    )
    health, history, now = Health(), [], 0.0
    target = plan.first(health, now, chance).target
    spent: set[int] = set()
    for cause, status, after, is_spent in outcomes:
        history.append(Failed(target, cause, status, after, None, is_spent))  # type: ignore[arg-type]
        spent |= {target} if is_spent and cause not in FREE else set()
        decision = plan.after(history, health, now, chance, began=0, room=True)
        if isinstance(decision, GiveUp):
            return
        assert decision.target not in spent or cause in FREE
        assert 0 <= decision.after_s <= (200 if decision.queued else LONGEST_WAIT_S)
        now += decision.after_s
        assert now < 200 + 3 * LONGEST_WAIT_S
        target = decision.target
