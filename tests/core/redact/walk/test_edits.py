"""core/redact/walk/edits.py: strings are replaced by path, as rebuilding the whole document would."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.redact.walk.body_shapes import FREE
from sluicegate.core.redact.walk.edits import apply_edits
from sluicegate.core.redact.walk.json_walk import KeyCollision, walk

TEXTS = st.text("abc", max_size=2)
DOCUMENTS = st.recursive(TEXTS | st.none(), lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXTS, v, max_size=3))


def rebuilt(value: Any, edit: Callable[[str], str]) -> Any:
    """A copy of a document with every string and key edited."""
    if isinstance(value, str):
        return edit(value)
    if isinstance(value, list):
        return [rebuilt(item, edit) for item in value]
    if isinstance(value, dict):
        return {edit(key): rebuilt(item, edit) for key, item in value.items()}
    return value


@given(DOCUMENTS, st.sets(TEXTS))
def test_the_same_as_rebuilding(document: Any, changed: set[str]) -> None:
    """Values and keys, nested in any way, including the root; the order of keys stays."""

    def edit(text: str) -> str:
        return f"<{text}>" if text in changed else text

    other = copy.deepcopy(document)
    edits = [(leaf, edit(leaf.text)) for leaf in walk(document, FREE) if leaf.text in changed]
    assert repr(apply_edits(document, edits)) == repr(rebuilt(other, edit))


def test_two_keys_never_become_one() -> None:
    """The second would take the first one's value with it."""
    document = {"a": 1, "b": 2}
    first, *_ = walk(document, FREE)
    with pytest.raises(KeyCollision):
        apply_edits(document, [(first, "b")])
