"""core/redact/walk/edits.py: strings exchanged by path, as the walk over the whole document would."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.redact.walk.edits import apply_edits
from sluicegate.core.redact.walk.json_walk import KeyCollision, rewrite, walk

TEXTS = st.text("abc", max_size=2)
DOCUMENTS = st.recursive(TEXTS | st.none(), lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXTS, v, max_size=3))


@given(DOCUMENTS, st.sets(TEXTS))
def test_the_same_as_rewriting(document: Any, changed: set[str]) -> None:
    """Values and keys, nested in any way, the root as well; the order of keys stays."""

    def edit(text: str) -> str:
        return f"<{text}>" if text in changed else text

    other = copy.deepcopy(document)
    edits = [(leaf, edit(leaf.text)) for leaf in walk(document, "other") if leaf.text in changed]
    assert repr(apply_edits(document, edits)) == repr(rewrite(other, "other", edit)[0])


def test_two_keys_never_become_one() -> None:
    """The second would take the first one's value with it."""
    document = {"a": 1, "b": 2}
    first, *_ = walk(document, "other")
    with pytest.raises(KeyCollision):
        apply_edits(document, [(first, "b")])
