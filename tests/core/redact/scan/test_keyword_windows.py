"""core/redact/scan/keyword_windows.py: the parts of a text around its keywords."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.redact.scan.keyword_windows import NEAR, is_near, keyword_windows


@given(st.text(alphabet="ab k", max_size=3000), st.integers(1, 40))
def test_windows_hold_all_around_each_keyword(text: str, reach: int) -> None:
    """Disjoint, in order, and every byte within reach of a keyword is in one of them."""
    data = (text * 3).encode()
    found = keyword_windows(data, [b"k", b"ab"], reach)
    assert all(a[1] < b[0] for a, b in pairwise(found))
    inside = {i for low, high in found for i in range(low, high)}
    for keyword in (b"k", b"ab"):
        at = data.find(keyword)
        while at >= 0:
            assert inside >= set(range(max(0, at - reach), min(len(data), at + len(keyword) + reach)))
            at = data.find(keyword, at + len(keyword))


def test_a_text_full_of_keywords_is_searched_as_a_whole() -> None:
    """Many small windows would cost more than one search."""
    data = b"key " * 10_000
    assert keyword_windows(data, [b"key"], 10) == ((0, len(data)),)


def test_upper_case_keywords_have_windows() -> None:
    """Keywords are compared without case."""
    data = b"." * 5000 + b"API_KEY" + b"." * 5000
    assert keyword_windows(data, [b"api_key"], 20) == [(4980, 5027)]


def test_how_near_a_keyword_has_to_be() -> None:
    """In the match, or at most NEAR bytes before or after it."""
    for gap, near in ((0, True), (NEAR - 3, True), (NEAR - 2, False)):
        before, after = b"KEY" + b"." * gap + b"value", b"value" + b"." * gap + b"key"
        assert is_near(before, 3 + gap, 8 + gap, [b"key"]) == near
        assert is_near(after, 0, 5, [b"key"]) == near
