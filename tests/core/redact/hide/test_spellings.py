"""core/redact/hide/spellings.py: other encodings of a value that was found."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.redact.hide.spellings import MIN_LENGTH, spellings

VALUE = 'pass"word<é>/&1'


@given(st.text())
def test_spellings_of_anything(value: str) -> None:
    """Any text has spellings, itself among them where it is long enough."""
    found = spellings(value)
    assert (value in found) == (len(value) >= 8)


@pytest.mark.parametrize(
    "spelling",
    [
        VALUE,
        json.dumps(VALUE)[1:-1],
        json.dumps(VALUE, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(VALUE)[1:-1])[1:-1],
        html.escape(VALUE),
        html.escape(VALUE, quote=False),
        quote(VALUE, safe=""),
        quote(VALUE),
        quote(VALUE, safe="").replace("%C3%A9", "%c3%a9").replace("%3C", "%3c").replace("%3E", "%3e").replace("%2F", "%2f"),
        quote_plus(VALUE),
        base64.b64encode(VALUE.encode()).decode(),
        base64.b64encode(VALUE.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(VALUE.encode()).decode(),
    ],
)
def test_each_encoding_is_a_spelling(spelling: str) -> None:
    """JSON, once and twice; HTML; URLs; base64."""
    assert spelling in spellings(VALUE)


@given(st.binary(max_size=4), st.text(min_size=16, max_size=30), st.binary(max_size=4))
def test_base64_of_a_longer_text_contains_a_spelling(before: bytes, value: str, after: bytes) -> None:
    """At any alignment."""
    encoded = base64.b64encode(before + value.encode() + after).decode()
    assert any(spelling in encoded for spelling in spellings(value))


def test_an_escaped_value_has_the_spellings_of_the_plain_one() -> None:
    """A key that was found on one line, with `\\n` for line breaks, is also searched for on several lines."""
    key = "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEAabcdefghijklmnopqrstuv\n-----END KEY-----"
    assert key in spellings(key.replace("\n", "\\n"))


def test_the_long_lines_of_a_key() -> None:
    """Each line of 32 characters or more is a spelling; the BEGIN and END lines, which every key has, are not."""
    line = "MIIEpAIBAAKCAQEAabcdefghijklmnopqrstuv"
    found = spellings(f"-----BEGIN RSA PRIVATE KEY-----\n{line}\nshort\n-----END RSA PRIVATE KEY-----")
    assert line in found
    assert not {"short", "-----BEGIN RSA PRIVATE KEY-----"} & found


def test_a_short_value_is_searched_for_nowhere_else() -> None:
    """A common word would be hidden all over the document."""
    assert spellings("x" * (MIN_LENGTH - 1)) == frozenset()
