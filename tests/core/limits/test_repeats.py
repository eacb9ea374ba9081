"""core/limits/repeats.py: successions of the same request."""

from sluicegate.core.limits.repeats import Repeats


def test_a_succession_ends_with_a_pause() -> None:
    """Two seconds at most between two of the same; other requests in between do not end it."""
    repeats = Repeats()
    assert [repeats.add(("id1", 7), now_s) for now_s in (0.0, 0.3, 2.3, 4.4, 4.4)] == [1, 2, 3, 1, 2]
    assert repeats.add(("id1", 8), 4.5) == 1
    assert repeats.add(("id2", 7), 4.5) == 1
    assert repeats.add(("id1", 7), 4.6) == 3


def test_any_number_of_requests_takes_bounded_memory() -> None:
    """Those that came first are forgotten first; one that goes on is not."""
    repeats = Repeats()
    for n in range(10_000):
        assert repeats.add(n, 0.0) == 1
        assert repeats.add("loop", 0.0) == n + 1
    assert len(repeats._latest) == 2_000
