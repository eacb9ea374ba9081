"""The first difference between two requests."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.cachekey.difference import Difference, first_difference


def test_its_place_and_both_values() -> None:
    """A path as one would write it, and the values around the place where they part."""
    left = {"a": 1, "messages": [{"content": [{"text": "x" * 500 + "left" + "y" * 500}]}]}
    right = {"a": 1, "messages": [{"content": [{"text": "x" * 500 + "right" + "y" * 500}]}]}
    found = first_difference(left, right)
    assert found
    assert found.path == "messages[0].content[0].text"
    assert found.left.startswith("…xxx")
    assert "xleftyyy" in found.left
    assert "xrightyy" in found.right
    assert max(len(found.left), len(found.right)) <= 62


def test_kinds_of_differences() -> None:
    """A key or an item that only one side has, the order of keys, a type, the whole."""
    assert first_difference({"a": {"b": 1}}, {"a": {}}) == Difference("a.b", "1", "(nothing)")
    assert first_difference([1], [1, 2]) == Difference("[1]", "(nothing)", "2")
    assert first_difference({"a": 1, "b": 2}, {"b": 2, "a": 1}) == Difference("(the whole): order of keys", "'a'", "'b'")
    assert first_difference({"a": 1}, {"a": True}) == Difference("a", "1", "true")
    assert first_difference({"a": 1}, {"a": 1.0}) == Difference("a", "1", "1.0")
    assert first_difference([], {}) == Difference("(the whole)", "[]", "{}")
    assert first_difference({"a": [1]}, {"a": [1]}) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(json_values, json_values)
def test_none_where_they_are_equal_alone(left: Any, right: Any) -> None:
    """As the written JSON tells."""
    import json

    assert (first_difference(left, right) is None) == (json.dumps(left) == json.dumps(right))
