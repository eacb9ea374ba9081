"""core/redact/walk/json_document.py: one way to read a body, and every byte kept that is not changed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.redact.walk.json_document import JsonDocument, Unreadable

VALUES = st.recursive(
    st.one_of(
        st.text(max_size=8),
        st.characters(categories=["Cs"]),
        st.integers(),
        st.integers(min_value=2**63, max_value=2**80),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
        st.none(),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
)


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_unchanged_is_unchanged(value: object, ascii_only: bool, indent: int | None) -> None:
    """Whatever the notation: numbers over 64 bits, lone surrogates, blanks, escapes."""
    try:
        body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    except UnicodeEncodeError:
        body = json.dumps(value).encode()
    assert JsonDocument.read(body).render() == body


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (b'{"b":1,"a":"secret"}', b'{"b":1,"a":"<A_1>"}'),
        (b'{ "b" : 1e2, "a":\t"\\u0073ecret", "z":1.10}\n', b'{ "b" : 1e2, "a":\t"<A_1>", "z":1.10}\n'),
        (b'{"n":123456789012345678901234567890,"a":"secret"}', b'{"n":123456789012345678901234567890,"a":"<A_1>"}'),
        (b'{"n":1e999,"a":"secret","c":"\\ud83d"}', b'{"n":1e999,"a":"<A_1>","c":"\\ud83d"}'),
    ],
)
def test_only_the_changed_string_changes(body: bytes, changed: bytes) -> None:
    """The rest of the document keeps its notation."""
    document = JsonDocument.read(body)
    assert document.root["a"] == "secret"
    document.root["a"] = "<A_1>"
    assert document.render() == changed


def test_keys_change_in_place() -> None:
    """A renamed key keeps its position."""
    document = JsonDocument.read(b'{"x": {"secret": 1, "b": "c\\/d"}}')
    document.root["x"] = {"<A_1>": 1, "b": "c/d"}
    assert document.render() == b'{"x": {"<A_1>": 1, "b": "c\\/d"}}'


def test_a_lone_surrogate_goes_in() -> None:
    """A new string that no strict encoder takes is written with escapes."""
    document = JsonDocument.read(b'["a"]')
    document.root[0] = "\ud83d"
    assert document.render() == b'["\\ud83d"]'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b'{"a":1}{"b":2}',
        b'{"a":"first","a":"last"}',
        b'{"x":[{"a":1,"\\u0061":2}]}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'"\xff"',
        b'"\xed\xa0\xbd"',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\n"}',
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_what_two_readers_may_see_differently(body: bytes) -> None:
    """Duplicate keys, other charsets, stray bytes, invalid JSON, bottomless nesting: refused, and nothing quoted."""
    with pytest.raises(Unreadable) as refused:
        JsonDocument.read(body)
    assert "first" not in str(refused.value)
