"""core/redact/hide/document_scan.py and its parts: what is hidden, wherever and however it is written."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from kits.hiding import Rules, factory_of, hide
from sluicegate.core.redact.hide.document_scan import DocumentScan
from sluicegate.core.redact.hide.known_values import KnownValueScanner
from sluicegate.core.redact.hide.placeholders import GRAMMARS
from sluicegate.core.redact.restore.text_restorer import restore_text
from sluicegate.core.redact.walk.body_shapes import BODY, FREE

SECRET = "sk-abcdefgh12345678"
PEM = "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEAabcdefghijklmnopqrstuv\nzz/+==\n-----END KEY-----"


@pytest.mark.parametrize("value", [SECRET, PEM])
@pytest.mark.parametrize(
    "spell",
    [
        lambda v: json.dumps(v)[1:-1],
        lambda v: json.dumps(json.dumps(v))[3:-3],
        lambda v: quote(v, safe=""),
        lambda v: quote(v, safe="/"),
        lambda v: base64.b64encode(v.encode()).decode(),
        lambda v: base64.b64encode(b"u:" + v.encode()).decode(),
        lambda v: base64.b64encode(b"x" + v.encode() + b"yy").decode(),
        lambda v: base64.urlsafe_b64encode(v.encode()).decode(),
    ],
)
def test_known_values_are_hidden_in_every_spelling(value: str, spell: object) -> None:
    """A value found once is also hidden where it is escaped, URL-encoded or in base64, before and after."""
    other = f"prefix {spell(value)} suffix"  # type: ignore[operator]
    hidden, names = hide([other, value, other])
    assert hidden[0] == hidden[2]
    left = hidden[0].removeprefix("prefix ").removesuffix(" suffix")
    assert "<" in left
    assert spell(value)[4:-4] not in left  # type: ignore[operator]
    assert [restore_text(t, names) for t in hidden] == [other, value, other]


def test_each_spelling_has_a_name_of_its_own() -> None:
    """So that each is restored as it was written."""
    hidden, _ = hide([SECRET, base64.b64encode(SECRET.encode()).decode()])
    assert hidden == ["<API_KEY_1>", "<API_KEY_2>"]


def test_a_line_of_a_private_key() -> None:
    """A single line of it, in the output of grep, is also hidden."""
    hidden, _ = hide([PEM, f"12: {PEM.splitlines()[1]}"])
    assert "MIIE" not in hidden[1]


def test_short_values_are_hidden_as_whole_words_only() -> None:
    """An address is not searched for inside other words."""
    hidden, _ = hide(["a@bcd.com", "is xa@bcd.com here", "and a@bcd.comx"])
    assert hidden[2].startswith("and <")  # a finding of its own


def test_keys_and_their_order() -> None:
    """Keys are hidden in place."""
    hidden, _ = hide({"b": 1, SECRET: 2, "a": {"x": SECRET}})
    assert list(hidden.items()) == [("b", 1), ("<API_KEY_1>", 2), ("a", {"x": "<API_KEY_1>"})]


def test_numbers_follow_the_walk() -> None:
    """tools, then system, then messages, whatever their order in the body."""
    body = {
        "messages": [{"role": "user", "content": "sk-third000000"}],
        "system": [{"type": "text", "text": "sk-second00000"}],
        "tools": [{"name": "t", "description": "sk-first000000", "input_schema": {}}],
    }
    hidden, _ = hide(body, shape=BODY)
    assert hidden["tools"][0]["description"] == "<API_KEY_1>"
    assert hidden["system"][0]["text"] == "<API_KEY_2>"
    assert hidden["messages"][0]["content"] == "<API_KEY_3>"


def test_a_scan_counts_values_and_shows_no_secret() -> None:
    """Found: values by rule. First: the rule and a path in which a key that holds a secret is not shown."""
    scan = DocumentScan({"a": [{SECRET: SECRET}, "x@y.com x@y.com z@y.com"]}, FREE, Rules(), None)
    assert scan.found == {"api_key": 1, "email": 2}
    assert scan.first is not None
    assert (scan.first.rule, scan.first.path) == ("api_key", "a[0].(a key)")
    below = DocumentScan({"a": {SECRET: {"b": "x@y.com"}}}, FREE, Rules(), None)
    assert below.first is not None
    assert SECRET not in below.first.path


def test_nothing_to_hide() -> None:
    """A document without findings needs no name."""
    scan = DocumentScan({"a": "b < c"}, FREE, Rules(), KnownValueScanner(GRAMMARS["angle"]))
    assert scan.empty
    assert scan.keys_to_number(factory_of()) == []
