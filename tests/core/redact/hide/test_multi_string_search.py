"""core/redact/hide/multi_string_search.py: many strings in many texts, in one pass."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.redact.hide import multi_string_search
from sluicegate.core.redact.hide.multi_string_search import MultiStringSearch


@given(st.dictionaries(st.text(min_size=1, max_size=6), st.none(), max_size=6), st.lists(st.text(max_size=20), max_size=5))
def test_every_occurrence_is_found(needles: dict[str, None], texts: list[str]) -> None:
    """At every position of every text, the longest needle that starts there."""
    found = {(i, s, e) for i, s, e, _ in MultiStringSearch(needles).find(texts)}
    expected = set()
    for i, text in enumerate(texts):
        for at in range(len(text)):
            here = [n for n in needles if text.startswith(n, at)]
            if here:
                expected.add((i, at, at + len(max(here, key=lambda n: len(n.encode())))))
    assert found == expected


def test_the_payload_and_the_position_in_characters() -> None:
    """Positions are characters, not bytes; the payload is that of the matching needle."""
    search = MultiStringSearch({"clé": 1, "clé longue": 2})
    assert list(search.find(["é clé longue", "", "clé"])) == [(0, 2, 12, 2), (2, 0, 3, 1)]


def test_needles_with_the_same_head() -> None:
    """Only a prefix is in the automaton; the rest is compared."""
    head = "x" * 60
    search = MultiStringSearch({f"{head}a": "a", f"{head}b": "b"})
    assert [what for *_, what in search.find([f"{head}b", f"{head}c", f"{head}a"])] == ["b", "a"]


def test_more_needles_than_one_automaton_holds() -> None:
    """They are split over several automata; each needle is found once."""
    needles = {f"value-{n:05d}": n for n in range(multi_string_search._AT_ONCE + 10)}
    texts = ["value-00000 value-00001", f"value-{len(needles) - 1:05d}"]
    assert sorted(what for *_, what in MultiStringSearch(needles).find(texts)) == [0, 1, len(needles) - 1]


def test_no_match_spans_two_texts() -> None:
    """Texts are searched together and do not become one text."""
    assert list(MultiStringSearch({"ab": None, "a\0b": None}).find(["a", "b"])) == []
