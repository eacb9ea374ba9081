"""Model patterns and routes."""

from dataclasses import dataclass

import pytest

from sluicegate.core.routing.routes import first_route, matches, matches_any


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
        ("gpt-[45]", "gpt-4", True),
        ("gpt-[!45]", "gpt-4", False),
        ("a.b", "axb", False),
        ("*", "org/model:tag", True),
        ("", "", True),
        ("", "m", False),
    ],
)
def test_a_pattern_covers_a_whole_name_and_its_case(pattern: str, model: str, covers: bool) -> None:
    """As shell patterns do; a slash is a character like any other."""
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
