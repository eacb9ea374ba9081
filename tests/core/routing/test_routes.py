"""Model patterns and routes."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.routing.routes import first_route, is_literal, matches, matches_any


@dataclass(frozen=True)
class Route:
    pattern: str


@pytest.mark.parametrize(
    ("pattern", "model", "covers"),
    [
        ("*", "claude-haiku-4-5", True),
        ("*", "", True),
        ("claude-*", "claude-haiku-4-5", True),
        ("claude-*", "Claude-haiku-4-5", False),
        ("CLAUDE-*", "claude-haiku-4-5", False),
        ("claude-*", "my-claude-1", False),
        ("gpt-?", "gpt-5", True),
        ("gpt-?", "gpt-51", False),
        ("gpt-[45]", "gpt-4", False),
        ("gpt-[45]", "gpt-[45]", True),
        ("claude-opus-5[1m]", "claude-opus-5[1m]", True),
        ("claude-opus-5[1m]", "claude-opus-51", False),
        ("claude-*[1m]", "claude-opus-5[1m]", True),
        ("*[1m]", "claude-opus-5", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("ab*bc", "abc", False),
        ("**", "", True),
        ("*", "two\nlines", True),
        ("m", "m\n", False),
        (r"\d+$|^(", r"\d+$|^(", True),
        ("?", "", False),
        ("a.b", "axb", False),
        ("*", "org/model:tag", True),
        ("", "", True),
        ("", "m", False),
    ],
)
def test_a_pattern_covers_a_whole_name_and_its_case(pattern: str, model: str, covers: bool) -> None:
    """`*` and `?` stand for characters of any kind; a bracket or a slash is a character like any other."""
    assert matches(pattern, model) is covers
    assert matches_any((pattern,), model) is covers


def test_no_patterns_cover_nothing() -> None:
    """An empty list is the caller's to read as `all`."""
    assert not matches_any((), "m")


def test_the_first_route_that_covers_a_model_serves_it() -> None:
    """Not the most specific one; a model that no route covers has none."""
    wide, narrow = Route("claude-*"), Route("claude-haiku-4-5")
    assert first_route((wide, narrow), "claude-haiku-4-5") is wide
    assert first_route((narrow, wide), "claude-haiku-4-5") is narrow
    assert first_route((narrow, wide), "gpt-5") is None
    assert first_route((), "gpt-5") is None


def _slow(pattern: str, name: str) -> bool:
    """The definition, one character at a time."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return _slow(pattern[1:], name) or (name != "" and _slow(pattern, name[1:]))
    return name != "" and pattern[0] in ("?", name[0]) and _slow(pattern[1:], name[1:])


@given(st.text("ab[]*?", max_size=6), st.text("ab[]*?", max_size=8))
def test_a_pattern_covers_what_its_definition_says(pattern: str, name: str) -> None:
    """However the wildcards lie, and with wildcards in the name itself."""
    assert matches(pattern, name) is _slow(pattern, name)


@pytest.mark.parametrize("literal", ["claude-opus-5[1m]", "m", "[a-z]", "!"])
def test_a_name_without_wildcards_is_literal(literal: str) -> None:
    """It covers itself; with a wildcard it is a pattern."""
    assert is_literal(literal)
    assert matches(literal, literal)
    assert not is_literal(literal + "*")
    assert not is_literal(literal + "?")
