"""core/redact/rules/regex_tree.py: what a regular expression says of its matches."""

from __future__ import annotations

from random import Random

import pytest

from sluicegate.core.redact.rules.example_match import example_match
from sluicegate.core.redact.rules.gitleaks import builtin_rules
from sluicegate.core.redact.rules.regex_tree import Unknown, longest, parse
from sluicegate.core.redact.rules.rule import compile_pattern


@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        ("", 0),
        ("abc", 3),
        ("a|bcd|", 3),
        ("a{2,5}?", 5),
        ("(?:ab){3}c?", 7),
        ("a+", None),
        ("x*y", None),
        ("a{2,}", None),
        (r"\b^$\z\A", 0),
        (r"[^\w\s-]{4}[[:alpha:]]", 5),
        (r"[]a-]{2}", 2),
        (r"\x41\x{1F600}\101\t\.\Qa.b\Ec", 9),
        ("(?i)a(?-i:B)(?P<n>c)(?s:.)", 4),
        ("a{,3}", 5),
    ],
)
def test_the_longest_match(pattern: str, length: int | None) -> None:
    """By RE2's reading of the pattern; None if there is no bound."""
    assert longest(parse(pattern)) == length


@pytest.mark.parametrize("pattern", [r"\pL", r"\C", "(?=a)", "(a", "a)", "[a", "(" * 200, "[[:no:]]", "\\"])
def test_what_it_does_not_know_it_says(pattern: str) -> None:
    """Such a pattern has no known length; whether it may be used is RE2's to say."""
    with pytest.raises(Unknown):
        parse(pattern)


WITH_BORDERS = ("curl-auth-header", "curl-auth-user", "kubernetes-secret-yaml", "sourcegraph-access-token")
"""They have `\\b` or `\\B` between parts, which a text made part by part need not honour."""


@pytest.mark.parametrize("rule", [r for r in builtin_rules() if not r.id.endswith(WITH_BORDERS)], ids=lambda rule: rule.id)
def test_it_reads_patterns_as_re2_does(rule: object) -> None:
    """What is spelled from the tree, RE2 matches, and no match is longer than said."""
    pattern = rule.pattern  # type: ignore[attr-defined]
    most, regex, random = longest(parse(pattern)), compile_pattern(pattern), Random(1)
    for _ in range(5):
        text, _groups = example_match(pattern, random)
        match = regex.search(text.encode())
        assert match is not None, text
        assert most is None or match.end() - match.start() <= most
