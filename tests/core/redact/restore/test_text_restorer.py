"""core/redact/restore/text_restorer.py: a text that arrives in pieces gets its values back."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kits.hiding import PIECES, Numbers, cut, factory_of, hide, text_of
from sluicegate.core.redact.hide.placeholder_map import PlaceholderMap
from sluicegate.core.redact.hide.placeholders import GRAMMARS, Style
from sluicegate.core.redact.restore.text_restorer import MAX_NAME, PlaceholderCounter, TextRestorer, restore_text

STYLES: tuple[Style, ...] = ("angle", "plain")
KNOWN = PlaceholderMap(GRAMMARS["angle"], {"API_KEY_1": "value", "EMAIL_HMAC:A3F1B2C0": "ann@corp.com"})


@pytest.mark.parametrize("style", STYLES)
def test_any_cut_gives_the_same(style: Style) -> None:
    """A text restored in pieces is the text restored at once; 3,000 cases, names of this request and others among them."""
    rng = random.Random(style)
    how, numbers = factory_of(style), Numbers()
    for _ in range(1500):
        hidden, names = hide([text_of(rng)], how, numbers)
        said = "".join(rng.choice((hidden[0], rng.choice(PIECES))) for _ in range(4))
        restorer = TextRestorer(names)
        assert "".join(map(restorer.feed, cut(rng, said))) + restorer.end() == restore_text(said, names), said


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("<API_KEY_1>", "{value}"),
        ("&lt;API_KEY_1&gt;", "{html}"),
        (r"\u003cAPI_KEY_1\u003e", "{json}"),
        (r"\u003CAPI_KEY_1\u003E", "{json}"),
        ("%3CAPI_KEY_1%3E", "{url}"),
        ("%3cAPI_KEY_1%3e", "{url}"),
        ("<API_KEY_2>", "<API_KEY_2>"),
        ("<api_key_1>", "<api_key_1>"),
        ("<API_KEY_1", "<API_KEY_1"),
        ("<<API_KEY_1>>", "<{value}>"),
    ],
)
def test_spellings_that_are_read(said: str, written: str) -> None:
    """A name that comes back escaped gives the value, escaped in the same way."""
    value = 'a"b\\c&<d> é'
    names = PlaceholderMap(GRAMMARS["angle"], {"API_KEY_1": value})
    escaped = {
        "value": value,
        "html": "a&quot;b\\c&amp;&lt;d&gt; é",
        "json": r"a\"b\\c&<d> é",
        "url": "a%22b%5Cc%26%3Cd%3E%20%C3%A9",
    }
    assert restore_text(said, names) == written.format(**escaped)
    restorer = TextRestorer(names)
    assert "".join(map(restorer.feed, said)) + restorer.end() == written.format(**escaped)


def test_a_restored_value_is_not_scanned_again() -> None:
    """A value that looks like another's placeholder stays what it is."""
    names = PlaceholderMap(GRAMMARS["angle"], {"A_1": "<B_1>", "B_1": "<A_1>"})
    assert restore_text("<A_1><B_1>", names) == "<B_1><A_1>"


@pytest.mark.parametrize("suffix", ["<", "<API", "<API_KEY_1", "&lt;API_KEY_1&g", "\\u003cAPI_KEY_", "%3CEMAIL_HMAC%3"])
def test_a_possible_placeholder_is_held_back(suffix: str) -> None:
    """Until the next piece, or the end, shows that it is not one."""
    restorer = TextRestorer(KNOWN)
    assert restorer.feed(f"use {suffix}") == "use "
    assert restorer.end() == suffix
    assert restorer.count == 0


@pytest.mark.parametrize("text", ["a < b", "<OTHER", "<API_KEY_2", "<api", "x" * 1000, "&amp;", "\\n", "%20"])
def test_text_that_cannot_become_a_known_placeholder_is_not_held_back(text: str) -> None:
    """It reaches the client at once."""
    assert TextRestorer(KNOWN).feed(text) == text


@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_what_is_held_back_is_bounded(pieces: list[str]) -> None:
    """At no time more than the longest placeholder."""
    restorer, fed, out = TextRestorer(KNOWN), 0, 0
    for piece in pieces:
        before = restorer.count
        fed, out = fed + len(piece), out + len(restorer.feed(piece))
        if restorer.count == before == 0:
            assert fed - out <= MAX_NAME


@given(st.lists(st.sampled_from([*PIECES, "<API_KEY_1>", "<EMAIL_HMAC:A3F1B2C0>", "<KEY_7>"]), max_size=12), st.randoms())
def test_counting_does_not_depend_on_the_pieces(pieces: list[str], rng: random.Random) -> None:
    """Known and unknown placeholders of a text, however it is split."""
    text = "".join(pieces)
    whole, split = PlaceholderCounter(KNOWN), PlaceholderCounter(KNOWN)
    whole.feed(text)
    for piece in cut(rng, text):
        split.feed(piece)
    assert (split.known, split.unknown) == (whole.known, whole.unknown)
    restorer = TextRestorer(KNOWN)
    restorer.feed(text)
    restorer.end()
    assert whole.known == restorer.count
