"""core/redact/hide/known_values.py: the cache from turn to turn changes no result, and is bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.redact.hide.known_values import KnownValueScanner, Values, merge_spans
from sluicegate.core.redact.hide.placeholders import GRAMMARS, Style
from sluicegate.core.redact.rules.rule import Tier

POOL = (
    "sk-aaaabbbb",
    "sk-aaaabbbbcccc",
    "aaaabbbbcc",
    "sk-x/y+z=\n0123456789",
    "ann@corp.com",
    "12345678",
    "é→secret-of-é",
)
FILLERS = (" ", "x", "<A_1>", "A_x00000001", "%2F", "c2stYWFhYWJiYmI", "12345678", "\n")

words = st.sampled_from(POOL + FILLERS)
texts = st.lists(st.lists(words, max_size=6).map("".join), min_size=1, max_size=4)
turns = st.lists(st.tuples(texts, st.lists(st.sampled_from(POOL), max_size=3), st.booleans()), min_size=1, max_size=14)


def known(values: list[str]) -> Values:
    return {v: ("EMAIL" if "@" in v else f"T{len(v)}", _tier(v)) for v in values}


def _tier(value: str) -> Tier:
    return "identifier" if "@" in value else "secret"


def found(scanner: KnownValueScanner, said: list[str], values: Values) -> dict[str, list[object]]:
    return {
        t: list(merge_spans(t, list(spans), scanner.grammar))
        for t, spans in scanner.spans(list(dict.fromkeys(said)), values)
    }


@pytest.mark.parametrize("style", ["angle", "plain"])
@given(turns=turns)
def test_what_grew_is_what_is_looked_at_at_once(style: Style, turns: list[tuple[list[str], list[str], bool]]) -> None:
    """However texts and values came to be known, and were forgotten: the same as by one that sees them the first time."""
    scanner = KnownValueScanner(GRAMMARS[style])
    said: list[str] = []
    values: list[str] = []
    for more, new, restarted in turns:
        if restarted:
            said, values = said[1:], values[1:]  # the client cleared what was old
        said += more
        values += [v for v in new if v not in values]
        assert found(scanner, said, known(values)) == found(KnownValueScanner(GRAMMARS[style]), said, known(values))


def test_many_turns_with_new_values() -> None:
    """More than the maximum number of searches are merged into one, with the same result."""
    scanner, said, values = KnownValueScanner(GRAMMARS["angle"]), ["start"], list[str]()
    for n in range(40):
        values.append(f"secret-number-{n:04d}")
        said.append(f"a {values[-1]} b {values[n // 2]}")
        assert found(scanner, said, known(values)) == found(KnownValueScanner(GRAMMARS["angle"]), said, known(values))
        assert max(len(k.searches) for k in scanner._known.values()) <= 8


def test_memory_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts, what was found in them, and what looks for values: the oldest are forgotten, and nothing is missed."""
    for name, most in (("_CACHED_TEXTS", 50), ("_CACHED_SPANS", 60), ("_MAX_KNOWN", 5), ("_MAX_NEEDLES", 100)):
        monkeypatch.setattr(f"sluicegate.core.redact.hide.known_values.{name}", most)
    scanner = KnownValueScanner(GRAMMARS["angle"])
    for n in range(200):
        value = f"secret-number-{n:04d}"
        said = [f"{n}.{m} {value} <A_{m}>" for m in range(8)]
        assert found(scanner, said, known([value])) == found(KnownValueScanner(GRAMMARS["angle"]), said, known([value]))
        assert len(scanner._cache) <= 50
        assert scanner._held == sum(map(len, scanner._cache.values())) <= 60
        assert len(scanner._known) <= 5
        assert scanner._needles == sum(k.needles for k in scanner._known.values()) <= 100
