"""core/redact/scan/finder.py: findings of a text, remembered."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kits.labelled import ALL_PII, finder_of
from sluicegate.core.redact.rules.detectors import BASIC
from sluicegate.core.redact.rules.rule import Rule
from sluicegate.core.redact.scan.finder import RuleFinder, RulesError, build_finder
from sluicegate.core.redact.scan.finding import Finding

KEY = "ghp_" + "aB3" * 12
FINDER = finder_of("basic")
odd_text = st.text(alphabet=st.characters(codec=None, categories=("L", "N", "P", "S", "Z", "Cs", "Cc")), max_size=40)


@given(odd_text, odd_text, odd_text)
def test_offsets_are_those_of_the_str(before: str, between: str, after: str) -> None:
    """Umlauts, emoji, lone surrogates, line ends: text[start:end] is the value."""
    text = f"{before} {KEY} {between} {KEY}\n{after}"
    found = [f for f in FINDER.find(text) if f.rule == "github_token"]
    assert [text[f.start : f.end] for f in found] == [KEY, KEY]


@given(odd_text)
def test_findings_lie_within_the_text_in_order(text: str) -> None:
    """Any text at all, and a rule that matches single bytes: whole characters, no overlap."""
    finder = RuleFinder([Rule("r", "X", "secret", r"[^ ]{1,3}")], b"salt")
    at = 0
    for f in finder.find(text):
        assert at <= f.start < f.end <= len(text)
        at = f.end


def test_a_text_is_scanned_once() -> None:
    """The same text again, as in every later turn of a conversation, is answered from the cache, until it is emptied."""
    finder = finder_of("basic")
    first = finder.find(f"x {KEY}")
    calls = finder.engine.calls
    assert finder.find(f"x {KEY}") == first
    assert finder.engine.calls == calls
    finder.forget()
    assert finder.find(f"x {KEY}") == first
    assert finder.engine.calls > calls


def test_memory_is_bounded_and_keeps_what_was_used_last() -> None:
    """The least recently used text is evicted first."""
    finder = RuleFinder(BASIC, b"salt", max_texts=2)
    for text in ("a", "b", "a", "c"):
        finder.find(text)
    calls = finder.engine.calls
    finder.find("a")
    assert finder.engine.calls == calls
    finder.find("b")
    assert finder.engine.calls > calls


def test_memory_holds_no_text() -> None:
    """What a text is known by is a hash keyed with the process's salt, and a finding has places, no value."""
    finder = finder_of("basic")
    finder.find(f"unusual words and {KEY}")
    [memo] = [m for m in gc.get_referents(finder) if isinstance(m, dict)]
    [(known_by, found)] = memo.items()
    assert len(known_by) == 16
    assert found == (Finding(18, 18 + len(KEY), "GITHUB_TOKEN", "github_token", "secret"),)
    other = build_finder(rules=("basic",), salt=b"other")
    other.find(f"unusual words and {KEY}")
    [others] = [m for m in gc.get_referents(other) if isinstance(m, dict)]
    assert list(others) != list(memo)


def test_own_patterns_find_their_type() -> None:
    """NAME: regex of the configuration; the first group, if there is one, is what is hidden."""
    finder = build_finder(
        rules=("basic",), salt=b"s", patterns={"Ticket-No": r"\bTCK-[0-9]{6}\b", "pin": r"(?i)\bpin[ :=]+([0-9]{4})\b"}
    )
    text = "see TCK-123456, PIN: 9876"
    assert [(f.type, f.rule, f.tier, text[f.start : f.end]) for f in finder.find(text)] == [
        ("TICKET_NO", "own:Ticket-No", "secret", "TCK-123456"),
        ("PIN", "own:pin", "secret", "9876"),
    ]


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"rules": ("basics",)}, 'unknown rule set "basics"; known are basic, gitleaks, pii and file:PATH'),
        (
            {"rules": ("basic",), "patterns": {"A": "("}},
            "pattern A: not a regular expression in RE2 syntax: missing ): (",
        ),
        (
            {"rules": ("basic",), "patterns": {"A": "x*"}},
            "pattern A: matches the empty string; require at least one character",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(given_: dict[str, object], message: str) -> None:
    """And with what to do instead."""
    with pytest.raises(RulesError) as refused:
        build_finder(salt=b"s", **given_)  # type: ignore[arg-type]
    assert str(refused.value) == message


def test_a_rule_that_two_sets_have_counts_once(tmp_path: Path) -> None:
    """gitleaks next to a file that extends gitleaks: one finding, one rule."""
    own = tmp_path / "own.toml"
    own.write_text("[extend]\nuseDefault = true\n")
    finder = build_finder(rules=("gitleaks", f"file:{own}"), salt=b"s", read=lambda path: Path(path).read_bytes())
    assert [f.rule for f in finder.find("npm_" + "a1B2" * 9)] == ["gitleaks:npm-access-token"]
    assert len(finder.engine._rules) == len(finder_of("gitleaks").engine._rules)


def test_all_kinds_of_identifiers_can_be_asked_for() -> None:
    """Each name that the configuration takes is one that the rules have."""
    assert build_finder(rules=("pii",), salt=b"s", pii=ALL_PII).find("bob@example.com")[0].tier == "identifier"
