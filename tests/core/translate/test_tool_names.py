"""core/translate/tool_names.py: names and ids that both sides take."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.translate.tool_names import call_id, nine_letters, sent_name

TEXTS = st.text(max_size=100) | st.sampled_from(["a" * 64, "a" * 65, "mcp__a.b", "", "\ud83d"])


@given(TEXTS)
def test_each_fits(given_: str) -> None:
    """Names, ids and Mistral's ids have the form that servers demand, whatever they are made from."""
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", sent_name(given_))
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", call_id(given_))
    assert re.fullmatch(r"[a-zA-Z0-9]{9}", nine_letters(given_))


@pytest.mark.parametrize("name", ["f", "Bash", "mcp__server__tool-1", "a" * 64])
def test_what_fits_stays(name: str) -> None:
    """A name or an id that both sides take is not touched; a second pass changes nothing."""
    assert sent_name(name) == name
    assert sent_name(sent_name(name * 9)) == sent_name(name * 9)
    assert call_id(call_id(name * 9)) == call_id(name * 9)


def test_names_that_begin_alike_stay_apart() -> None:
    """The hash is of the whole name."""
    assert len({sent_name("a" * 70 + end) for end in "bcdefg"}) == 6
