"""core/redact/hide/document_scan.py and its parts: what is hidden, wherever and however it is written."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kits.hiding import Rules, factory_of, hide
from sluicegate.core.redact.hide.document_scan import DocumentScan
from sluicegate.core.redact.hide.known_values import KnownValueScanner
from sluicegate.core.redact.hide.line_numbers import read_numbered
from sluicegate.core.redact.hide.multi_string_search import MultiStringSearch
from sluicegate.core.redact.hide.placeholders import GRAMMARS, json_text
from sluicegate.core.redact.hide.spellings import spellings
from sluicegate.core.redact.restore.text_restorer import restore_text

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
    """A value found once is hidden where it is escaped, URL-encoded or in Base64, before it as well as behind."""
    other = f"prefix {spell(value)} suffix"  # type: ignore[operator]
    hidden, names = hide([other, value, other])
    assert hidden[0] == hidden[2]
    left = hidden[0].removeprefix("prefix ").removesuffix(" suffix")
    assert "<" in left
    assert spell(value)[4:-4] not in left  # type: ignore[operator]
    assert [restore_text(t, names) for t in hidden] == [other, value, other]


def test_each_spelling_has_a_name_of_its_own() -> None:
    """So that each comes back as it was."""
    hidden, _ = hide([SECRET, base64.b64encode(SECRET.encode()).decode()])
    assert hidden == ["<API_KEY_1>", "<API_KEY_2>"]


def test_a_line_of_a_private_key() -> None:
    """One line of it, in the output of grep, is hidden as well."""
    hidden, _ = hide([PEM, f"12: {PEM.splitlines()[1]}"])
    assert "MIIE" not in hidden[1]


def test_short_values_are_hidden_as_whole_words_only() -> None:
    """An address is not looked for inside other words."""
    hidden, _ = hide(["a@bcd.com", "is xa@bcd.com here", "and a@bcd.comx"])
    assert hidden[2].startswith("and <")  # the finder's own find


def test_keys_and_their_order() -> None:
    """Keys are hidden in place."""
    hidden, _ = hide({"b": 1, SECRET: 2, "a": {"x": SECRET}})
    assert list(hidden.items()) == [("b", 1), ("<API_KEY_1>", 2), ("a", {"x": "<API_KEY_1>"})]


def test_ranks_follow_the_walk() -> None:
    """tools, then system, then messages, whatever their order in the body."""
    body = {
        "messages": [{"role": "user", "content": "sk-third000000"}],
        "system": [{"type": "text", "text": "sk-second00000"}],
        "tools": [{"name": "t", "description": "sk-first000000", "input_schema": {}}],
    }
    hidden, _ = hide(body, surface="messages")
    assert hidden["tools"][0]["description"] == "<API_KEY_1>"
    assert hidden["system"][0]["text"] == "<API_KEY_2>"
    assert hidden["messages"][0]["content"] == "<API_KEY_3>"


def test_the_survey_counts_values_and_shows_no_secret() -> None:
    """Found: values by rule. First: the rule and a path in which a key that holds a secret is not shown."""
    scan = DocumentScan({"a": [{SECRET: SECRET}, "x@y.com x@y.com z@y.com"]}, "other", Rules(), None)
    assert scan.found == {"api_key": 1, "email": 2}
    assert scan.first is not None
    assert (scan.first.rule, scan.first.path) == ("api_key", "a[0].(a key)")
    below = DocumentScan({"a": {SECRET: {"b": "x@y.com"}}}, "other", Rules(), None)
    assert below.first is not None
    assert SECRET not in below.first.path


def test_nothing_to_hide() -> None:
    """A document without findings needs no name."""
    scan = DocumentScan({"a": "b < c"}, "other", Rules(), KnownValueScanner(GRAMMARS["angle"]))
    assert scan.empty
    assert scan.keys_to_number(factory_of()) == []


@given(st.dictionaries(st.text(min_size=1, max_size=6), st.none(), max_size=6), st.lists(st.text(max_size=20), max_size=5))
def test_sweeping_finds_all(needles: dict[str, None], texts: list[str]) -> None:
    """Every place where the longest needle from there on stands, in any text."""
    found = {(i, s, e) for i, s, e, _ in MultiStringSearch(needles).find(texts)}
    expected = set()
    for i, text in enumerate(texts):
        for at in range(len(text)):
            here = [n for n in needles if text.startswith(n, at)]
            if here:
                expected.add((i, at, at + len(max(here, key=lambda n: len(n.encode())))))
    assert found == expected


@given(st.text())
def test_spellings_of_anything(value: str) -> None:
    """Any text has spellings, itself among them where it is long enough."""
    found = spellings(value)
    assert (value in found) == (len(value) >= 8)


@given(st.text())
def test_json_text(value: str) -> None:
    """What stands between the quotes."""
    assert json.loads(f'"{json_text(value)}"') == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("  1→BEGIN\n  2→x\n  3→END", "BEGIN\nx\nEND"),
        ("  9\tBEGIN\n 10\tx\n 11\tEND", "BEGIN\nx\nEND"),
        ("7:BEGIN\n8:x\n9:END", "BEGIN\nx\nEND"),
        ("  7 | BEGIN\n  8 | x\n  9 | END", "BEGIN\nx\nEND"),
        ("  1→BEGIN\n  2→x\n  3", "BEGIN\nx\n"),
        ("BEGIN\nx\nEND", None),
        ("  1→BEGIN\n  3→x\n  4→END", None),
        ("  1→BEGIN\nx\nEND", None),
    ],
)
def test_gutters(text: str, value: str | None) -> None:
    """Numbers that count up, in the forms that tools show them."""
    found = read_numbered(text, text.index("BEGIN"), len(text))
    assert (found.value if found else None) == value
