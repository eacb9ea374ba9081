"""YAML that is hostile, ambiguous or of the wrong version."""

import contextlib
from collections.abc import Callable

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.settings import Settings
from sluicegate.settings.reading import yaml_tree
from sluicegate.settings.reading.yaml_tree import Malformed, compose, plain_scalar


@pytest.mark.parametrize("word", ["off", "on", "yes", "no", "Off", "y", "n", "1:30", "2026-01-31", "1_000", ".nan", ".inf"])
def test_words_stay_words(word: str) -> None:
    """No YAML 1.1 booleans, sexagesimal numbers, dates or underscored numbers; no number without an end."""
    assert plain_scalar(word) == word


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("true", True), ("false", False), ("~", None), ("", None)),
        *(("012", 12), ("0o17", 15), ("0x1F", 31), ("-4", -4), ("9" * 5000, "9" * 5000)),
        *(("+.5", 0.5), ("1e3", 1000.0), ("1e999", "1e999")),
    ],
)
def test_core_schema(text: str, value: object) -> None:
    """YAML 1.2's core schema; a number too long to be meant stays text."""
    assert plain_scalar(text) == value
    assert type(plain_scalar(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3", 3, 'the key "a" is here twice, first on line 1'),
        ("a:\n  b: 1\n  'b': 2", 3, 'the key "b" is here twice, first on line 2'),
        ("a: 1\n---\nb: 2", 2, "expected one YAML document"),
        ("a: !!python/object/apply:os.system [id]", 1, "tags"),
        ("a: !!str 1", 1, "tags"),
        ("!x\na: 1", 1, "tags"),
        ("? [a, b]\n: 1", 1, "expected a plain key"),
        ("a: *nowhere", 1, "the alias *nowhere has no anchor before it"),
        ("a: &a [*a]", 1, "the alias *a has no anchor before it"),
        ("a: 1\nb: [1, 2", 2, "not valid YAML"),
        ("a: 1\n\tb: 2", 2, "not valid YAML"),
        ("a: 1\nb: \x07", 2, "control characters"),
        ("a: " + "[" * 100_000, 1, "nested deeper than 40 levels"),
        ("a:\n  <<: 3", 2, "`<<` takes a mapping"),
    ],
)
def test_refused(text: str, line: int, message: str) -> None:
    """What could be read in two ways, or runs code, is refused with its line."""
    with pytest.raises(Malformed) as caught:
        compose(text)
    assert message in str(caught.value)
    assert caught.value.line == line


def test_billion_laughs() -> None:
    """Aliases of aliases count each time they are used, before anything is built from them."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with pytest.raises(Malformed, match="more than 50000 values"):
        compose("\n".join(lines))


def test_syntax_errors_do_not_quote(refused: Callable[..., list[str]]) -> None:
    """An error in the YAML beside a secret does not repeat the line."""
    (line,) = refused('identity: {admin_token: "hunter2secret\n')
    assert line.startswith("gate.yaml:")
    assert "hunter2" not in line


def test_anchors_and_merges(read: Callable[..., Settings]) -> None:
    """Anchors, aliases and merge keys work; a key of the mapping itself wins over a merged one."""
    settings = read("limits:\n  teams:\n    a: &a {rpm: 5, burst: 2}\n    b: *a\n    c: {<<: *a, rpm: 9}\n")
    teams = settings.limits.teams
    assert teams["a"] == teams["b"]
    assert (teams["c"].rpm, teams["c"].burst) == (9, 2)


def test_keys_are_names(read: Callable[..., Settings]) -> None:
    """A key is text as written, even if it looks like a number or a boolean."""
    assert set(read("limits: {teams: {4711: {rpm: 1}, off: {rpm: 2}, true: {rpm: 3}}}").limits.teams) == {
        "4711",
        "off",
        "true",
    }


def test_without_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML's own parser, where libyaml was not built in, gives the same nodes and the same kinds of fault."""
    text = "a: [1, off, 'x']\nb: &b {c: true}\nd: *b\n"
    expected = compose(text)
    monkeypatch.setattr(yaml_tree, "_LOADER", yaml.SafeLoader)
    assert compose(text) == expected
    for broken in ("a: [1", "a: 1\na: 2", "a: \x07", "a: !!str 1", "a: " + "[" * 1000):
        with pytest.raises(Malformed):
            compose(broken)


@given(st.text(alphabet="ab:-?&*!<>[]{}#'\"|%@,$ \n\t\x00~", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever the text, it is read or refused as malformed; nothing else is raised."""
    with contextlib.suppress(Malformed):
        compose(text)
