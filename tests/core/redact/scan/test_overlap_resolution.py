"""core/redact/scan/overlap_resolution.py: who wins where matches overlap."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from sluicegate.core.redact.rules.rule import LOWEST_PRIORITY, Rule
from sluicegate.core.redact.scan.engine import Match
from sluicegate.core.redact.scan.overlap_resolution import resolve_overlaps

TEXT = bytes(range(97, 123)) * 3
RULES = [Rule(f"r{n}", "X", "secret", "x", priority=n) for n in (0, 1, LOWEST_PRIORITY)]

spans = st.tuples(st.integers(0, 60), st.integers(1, 15), st.sampled_from(RULES))


def matched(*parts: tuple[int, int, int]) -> list[tuple[int, int, str]]:
    found = resolve_overlaps([Match(start, end, RULES[rule]) for start, end, rule in parts], TEXT)
    return [(m.start, m.end, m.rule.id) for m in found]


@given(st.lists(spans, max_size=20))
@example([(43, 15, RULES[2]), (44, 15, RULES[2]), (59, 2, RULES[2]), (60, 1, RULES[1])])
@example([(43, 15, RULES[0]), (44, 15, RULES[1]), (59, 2, RULES[2]), (60, 1, RULES[0])])
def test_findings_never_overlap_and_leave_nothing_out(drawn: list[tuple[int, int, Rule]]) -> None:
    """Disjoint, in order, none empty; all that any rule matched is covered, but for single characters between claims."""
    matches = [Match(start, start + length, rule) for start, length, rule in drawn]
    found = resolve_overlaps(matches, TEXT)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert all(m.start < m.end for m in found)
    covered = {i for m in found for i in range(m.start, m.end)}
    left = sorted({i for m in matches for i in range(m.start, m.end)} - covered)
    assert not any(a + 1 == b for a, b in pairwise(left))
    assert covered <= {i for m in matches for i in range(m.start, m.end)}


def test_a_basic_detector_wins_over_a_longer_match_of_another_rule() -> None:
    """Its part is its own; what the other has beyond it stays found."""
    assert matched((0, 20, 2), (5, 10, 0)) == [(0, 5, "r100"), (5, 10, "r0"), (10, 20, "r100")]


def test_basic_detectors_win_in_their_order() -> None:
    """Whatever their lengths."""
    assert matched((0, 20, 1), (0, 5, 0)) == [(0, 5, "r0"), (5, 20, "r1")]


def test_of_the_other_rules_the_longest_wins() -> None:
    """And a shorter one that is all within it says nothing more."""
    assert matched((2, 8, 2), (0, 20, 2), (18, 24, 2)) == [(0, 20, "r100"), (20, 24, "r100")]
