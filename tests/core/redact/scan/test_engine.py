"""core/redact/scan/engine.py and windows.py: which rules are tried where, and what that may cost."""

from __future__ import annotations

import pytest

from bench.scrub.hostile import hostile
from kits.labelled import finder_of
from sluicegate.core.redact.rules.rule import PatternError, Rule
from sluicegate.core.redact.scan.engine import Engine
from sluicegate.core.redact.scan.keyword_windows import NEAR

FAR = "word " * 60
EVERYTHING = finder_of("basic", "gitleaks", "pii").engine
HOSTILE = hostile()


def spans(text: str, *rules: Rule) -> list[tuple[int, int]]:
    return [(m.start, m.end) for m in Engine(rules).scan(text.encode())]


def rule(pattern: str, **more: object) -> Rule:
    return Rule("r", "X", "secret", pattern, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [1, 200], ids=["short text", "long text"])
def test_a_match_counts_near_its_keyword_only(length: int) -> None:
    """Before, after or around it; not somewhere else in the text, however long the text is."""
    found = rule("[0-9]{6}", keywords=("acme",), near_keyword=True)
    pad = FAR * length
    assert spans(f"{pad}123456 {FAR} acme id: 654321{pad}", found) == [
        (len(pad) + 7 + len(FAR) + 10, len(pad) + 7 + len(FAR) + 16)
    ]
    assert len(spans(f"{pad} 123456 is ACME's{pad}", found)) == 1
    assert spans(f"{pad}123456{pad}", found) == []


def test_values_that_share_one_character_between_them_are_both_found() -> None:
    """The space after the first is the space before the second."""
    assert len(spans("111 222 333", rule("(?:^| )([0-9]{3})(?: |$)"))) == 3


def test_a_rejected_match_does_not_hide_the_one_within_it() -> None:
    """`api_key = access_token: …`: the first value is not a secret, but the name of the second."""
    found = finder_of("gitleaks").find("api_key = access_token: 'q8Zr1Lw0Vb5Xk3Tn7'")
    assert [f.start for f in found] == [25]


def test_a_rule_with_other_characters_than_ascii_is_run() -> None:
    """The prefilter sees bytes, so such a rule runs on every text."""
    assert spans("größe: ÄÖ12", rule("[ÄÖ]{2}[0-9]+")) == [(9, 15)]


def test_a_pattern_that_is_none_is_refused() -> None:
    """RE2 has no look-around and no back-references."""
    with pytest.raises(PatternError):
        Engine([rule("(a)\\1")])
    with pytest.raises(PatternError):
        Engine([rule("((a{1000}){100}")])
    with pytest.raises(PatternError, match=r"too large|repetition|bad"):
        Engine([rule("((a{900}){900}){900}")])


def test_rules_that_are_too_large_all_together_are_refused() -> None:
    """RE2 would say nothing and find nothing: the engine asks it at once whether it works."""
    with pytest.raises(PatternError, match="too large in total"):
        Engine([Rule(str(n), "X", "secret", f"[a-f]{{900}}{n}[^a]{{900}}") for n in range(320)])
    assert spans("\0the gate works\0 ab", rule("ab")) == [(17, 19)]


def work(text: str) -> int:
    """Searches and bytes searched. A search costs about as much as 1,000 bytes of it."""
    calls, scanned = EVERYTHING.calls, EVERYTHING.scanned
    EVERYTHING.scan(text.encode("utf-8", "surrogatepass"))
    return (EVERYTHING.calls - calls) * 1000 + EVERYTHING.scanned - scanned


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_costs_no_more_than_its_length(name: str) -> None:
    """Four times the text is about four times the work, and never more than 300 passes with a search per five bytes."""
    text = HOSTILE[name]
    quarter, whole = work(text[: len(text) // 4]), work(text)
    assert whole <= 6 * quarter + 300 * NEAR * 1000
    assert whole <= len(text.encode("utf-8", "surrogatepass")) * (300 + 1000 / 5)


def test_an_ordinary_text_is_passed_over_about_once() -> None:
    """One pass of the gate, and hardly anything else."""
    text = "".join(f"    for item in range({n}):\n        print(item.name, {n})\n" for n in range(2000))
    assert work(text) <= 1.2 * len(text) + 10_000
