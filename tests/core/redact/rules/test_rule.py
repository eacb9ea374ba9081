"""core/redact/rules/rule.py: patterns are compiled within bounds, and names become placeholder types."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.redact.hide.placeholders import GRAMMARS
from sluicegate.core.redact.rules.rule import Hit, PatternError, compile_pattern, pattern_fault, type_name


def test_type_names() -> None:
    """The name of any rule becomes a valid placeholder type."""
    assert [type_name(name) for name in ("ANTHROPIC_KEY", "my-key", "1st", "é", "A" * 99)] == [
        "ANTHROPIC_KEY",
        "MY_KEY",
        "X_1ST",
        "X",
        "A" * 40,
    ]


@given(st.text())
def test_a_type_name_is_part_of_the_placeholder_grammar(name: str) -> None:
    """A placeholder of any type is recognised when it comes back; the type of a type is itself."""
    kind = type_name(name)
    assert type_name(kind) == kind
    for grammar in GRAMMARS.values():
        written = grammar.written(grammar.numbered(kind, 1))
        assert grammar.patterns["text"].fullmatch(written)


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("(a", "not a regular expression in RE2 syntax"),
        (r"a(?=b)", "not a regular expression in RE2 syntax"),
        (r"(a)\1", "not a regular expression in RE2 syntax"),
        ("a" * 20_001, "longer than 20000 characters"),
        ("\ud800", "not valid Unicode"),
        ("a*", "matches the empty string"),
        ("a+", None),
    ],
)
def test_a_configured_pattern_is_checked(pattern: str, fault: str | None) -> None:
    """A pattern that RE2 rejects, that is too large, or that matches nothing but emptiness is reported, with the reason."""
    found = pattern_fault(pattern)
    assert (found is None) == (fault is None)
    assert fault is None or fault in (found or "")


def test_a_pattern_that_needs_too_much_memory_is_rejected() -> None:
    """Nested counted repetitions would need gigabytes."""
    with pytest.raises(PatternError):
        compile_pattern("((a{0,100}){0,100}){0,100}")


def test_bytes_and_characters() -> None:
    """An ASCII pattern sees bytes, any other sees UTF-8: both match text with any characters."""
    data = "clé=é".encode()
    assert compile_pattern("cl..=").search(data) is not None
    assert compile_pattern("clé=.").search(data).span() == (0, len(data))


def test_the_value_of_a_hit() -> None:
    """The bytes between the offsets of the value, not the whole match."""
    assert Hit(b"key=abc;", 0, 8, 4, 7).value == b"abc"
