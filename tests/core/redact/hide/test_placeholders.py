"""core/redact/hide/placeholders.py: the grammar of placeholders."""

from __future__ import annotations

import json

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.redact.hide.placeholders import GRAMMARS, Style, json_text, placeholders_in
from sluicegate.core.redact.rules.rule import type_name

STYLES = st.sampled_from(sorted(GRAMMARS))
KINDS = st.sampled_from(["KEY", "KEY_1", "A", "API_KEY", "API", "LITERAL", type_name("x" * 99)])


def names(style: Style) -> st.SearchStrategy[str]:
    grammar = GRAMMARS[style]
    numbered = st.builds(grammar.numbered, KINDS, st.integers(1, 50_000))
    return numbered | st.builds(grammar.hashed, KINDS, st.binary(min_size=16, max_size=16))


@given(st.text())
def test_json_text(value: str) -> None:
    """The text between the quotes."""
    assert json.loads(f'"{json_text(value)}"') == value


@given(STYLES.flatmap(lambda style: st.tuples(st.just(style), names(style), names(style))))
def test_no_written_placeholder_is_a_prefix_of_another(drawn: tuple[Style, str, str]) -> None:
    """So a text can be read from left to right in one way only."""
    style, one, two = drawn
    written = GRAMMARS[style].written
    assert one == two or not written(two).startswith(written(one))


@given(STYLES.flatmap(lambda style: st.tuples(st.just(style), names(style))), st.sampled_from(["text", "json"]))
def test_every_form_is_read_and_has_the_shape(drawn: tuple[Style, str], context: str) -> None:
    """Restoring reads each form of a name; the wider shape, by which client text becomes a LITERAL, matches it, too."""
    style, name = drawn
    grammar = GRAMMARS[style]
    for form in grammar.forms[context]:  # type: ignore[index]
        for text in (form.before + name + form.after, form.before.upper() + name + form.after.upper()):
            if form.before.upper().startswith(("\\U", "&L", "\\\\U")):
                text = form.before + name + form.after  # an escape is written in lower case
            assert grammar.patterns[context].fullmatch(text)  # type: ignore[index]
            assert re2.fullmatch(grammar.shape, text.encode())
            assert placeholders_in(text) >= {name}


@pytest.mark.parametrize(
    ("style", "text", "start"),
    [("angle", "mykey", 2), ("plain", "my.key", 3), ("plain", "mykey", 0), ("plain", "a_b1x", 0), ("plain", "é-x", 2)],
)
def test_a_plain_placeholder_starts_a_word(style: Style, text: str, start: int) -> None:
    """`my` before `KEY_x00000001` would be read as part of its name; angle brackets need no such care."""
    at = {"mykey": 2, "my.key": 3, "a_b1x": 4, "é-x": 2}[text]
    assert GRAMMARS[style].start_of(text, at) == start
