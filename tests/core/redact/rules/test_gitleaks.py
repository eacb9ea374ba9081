"""core/redact/rules/gitleaks.py and allowlist.py: rule files in gitleaks' format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from kits.labelled import FOLLOWERS, finder_of
from sluicegate.core.redact.rules import gitleaks
from sluicegate.core.redact.rules.example_match import example_match
from sluicegate.core.redact.rules.gitleaks import (
    RulesError,
    bits_per_byte,
    builtin_rules,
    file_rules,
    relaxed,
)
from sluicegate.core.redact.scan.engine import Engine
from sluicegate.core.redact.scan.finder import RuleFinder

TOKEN = "acme_q8Zr1Lw0Vb5Xk3Tn7"
ACME = """
[[rules]]
id = "acme"
regex = '''acme_[A-Za-z0-9]{17}'''
keywords = ["ACME_"]
"""


def reader(**files: str) -> Callable[[str], bytes]:
    """Files by name, without dots: `own` is own.toml."""
    return lambda path: files[Path(path).stem].encode()


def found(text: str, toml: str = ACME, **files: str) -> list[str]:
    finder = RuleFinder(file_rules("rules/own.toml", reader(own=toml, **files)), b"salt")
    return [f"{f.rule} {text[f.start : f.end]}" for f in finder.find(text)]


def refused(toml: str, **files: str) -> str:
    with pytest.raises(RulesError) as error:
        file_rules("own.toml", reader(own=toml, **files))
    return str(error.value)


def test_the_built_in_set_is_gitleaks_and_its_licence_is_with_it() -> None:
    """All rules with a regex; the file is the original, and the notice says whose it is."""
    folder = Path(gitleaks.__file__).parent
    assert len(builtin_rules()) == 221
    assert (folder / "gitleaks.toml").read_text().count("[[rules]]") == 222
    notice = (folder / "LICENSE.gitleaks").read_text()
    assert "8.30" in notice
    assert "MIT License" in notice
    assert "Copyright (c) 2019 Zachary Rice" in notice


def test_values_made_from_the_rules_are_found_in_prose_and_json() -> None:
    """Of 2,600 texts made from the 221 patterns, before any punctuation, at least 98 % are found to their end."""
    random, finder, missed, total = Random(7), finder_of("gitleaks"), Counter[str](), 0
    for rule in builtin_rules():
        for follower in FOLLOWERS[:12]:
            text, value = labelled(rule, follower, random)
            if rule.validate is not None and len(set(value)) < 6:
                continue
            at, total = text.index(value), total + 1
            inside = {i for f in finder.find(text) for i in range(f.start, f.end)}
            missed[rule.id] += len(set(range(at, at + len(value))) - inside) > 1
    assert total > 2_500
    assert missed.total() <= 0.02 * total, missed.most_common(9)


def labelled(rule: object, follower: str, random: Random) -> tuple[str, str]:
    pattern = rule.pattern.removesuffix(r"(?:[^\w]|$)")  # type: ignore[attr-defined]
    text, groups = example_match(pattern, random)
    group = rule.group  # type: ignore[attr-defined]
    value = groups[group] if group else next((groups[g] for g in sorted(groups) if len(groups[g]) >= 6), text)
    keywords = rule.keywords  # type: ignore[attr-defined]
    lead = "" if any(k in text.lower() for k in keywords) else f"{random.choice(keywords)} "
    return f"see {lead}{text}{follower}", value


@pytest.mark.parametrize("follower", [*FOLLOWERS, "}", "|"])
def test_a_value_ends_at_any_other_character(follower: str) -> None:
    """Not only at a quote, a space or a semicolon, as in source files."""
    token = "dapi" + "0a1b2c3d" * 4
    assert [f.end for f in finder_of("gitleaks").find(f"use {token}{follower}")] == [4 + len(token)]


SHA256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ('password_policy = "excellent"', False),
        ('"password_strength": "excellent"', False),
        ('password = "excellent"', True),
        ('db_password: "excellent1"', True),
        (f"checksum/secret: {SHA256}", False),
        (f'checksum/secret-env: "{SHA256}"', False),
        (f'secret_sha256 = "{SHA256}"', False),
        (f'{{"api_key_digest": "{SHA256}"}}', False),
        (f"client_secret: {SHA256}", True),
        (f"sha256_secret_key = {SHA256}", True),
        (f"checksum: x, client_secret: {SHA256}", True),
        ("checksum/secret: q8Zr1Lw0Vb5Xk3Tn7Yh2Md9", True),
    ],
)
def test_a_value_whose_name_says_that_it_is_no_secret(text: str, secret: bool) -> None:
    """What tells of a password, and the digest of a secret; only the name right before the value counts."""
    assert bool(finder_of("gitleaks").find(text)) is secret


def test_a_value_longer_than_its_rule_foresaw_is_found_to_its_end() -> None:
    """Half a token in clear would be no help."""
    token = "pypi-AgEIcHlwaS5vcmc" + "q8Zr1Lw0Vb5Xk3Tn7mYp-" * 90
    assert [f.end for f in finder_of("gitleaks").find(f"x {token} y")] == [2 + len(token)]


def test_an_optional_beginning_is_left_out_and_nothing_else() -> None:
    """The relaxed pattern differs from the original in its borders only."""
    assert relaxed(r"""(?i)[\w.-]{0,50}?(?:acme)x(y)(?:[\x60'"\s;]|\\[nr]|$)""") == r"(?i)(?:acme)x(y)(?:[^\w]|$)"
    assert relaxed(r"\b(x{10,150})") == r"(?:\b|\\[nrt])(x{10,})"
    assert relaxed("[a-z]{10,200}?b") == "[a-z]{10,200}?b"


def test_a_part_that_repeats_is_not_taken_for_the_value() -> None:
    """A first group such as `([a-z0-9]{4}-){3}` is a part of an address: all of it is hidden."""
    part = "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
    url = f"https://acme.webhook.office.com/webhookb2/{part}@{part}/IncomingWebhook/{'0a' * 16}/{part}"
    assert [(f.start, f.end) for f in finder_of("gitleaks").find(f"<{url}>")] == [(1, 1 + len(url))]


def test_a_rule_of_ones_own() -> None:
    """Keywords in any case; the finding carries the rule's id."""
    assert found(f'{{"t": "{TOKEN}"}}') == [f"file:acme {TOKEN}"]


@pytest.mark.parametrize(
    ("more", "value", "counts"),
    [
        ("entropy = 3.5", TOKEN, True),
        ("entropy = 4.6", TOKEN, False),
        ("secretGroup = 0", TOKEN, True),
        ("[rules.allowlist]\nregexes = ['Lw0']", TOKEN, False),
        ("[[rules.allowlists]]\nregexes = ['^Lw0']", TOKEN, True),
        ("[[rules.allowlists]]\nregexes = ['nothing', '(?i)LW0V']", TOKEN, False),
        ("[[rules.allowlists]]\nregexTarget = 'line'\nregexes = ['sample']", f"sample {TOKEN}", False),
        ("[[rules.allowlists]]\nregexTarget = 'match'\nregexes = ['sample']", f"sample {TOKEN}", True),
        ("[[rules.allowlists]]\nstopwords = ['ZR1lw']", TOKEN, False),
        ("[[rules.allowlists]]\nstopwords = ['other']", TOKEN, True),
        ("[[rules.allowlists]]\ncondition = 'AND'\nregexes = ['Lw0']\nstopwords = ['other']", TOKEN, True),
        ("[[rules.allowlists]]\ncondition = 'AND'\nregexes = ['Lw0']\nstopwords = ['vb5']", TOKEN, False),
        ("[[rules.allowlists]]\ncondition = 'AND'\nregexes = ['Lw0']\npaths = ['x']", TOKEN, True),
        ("[[rules.allowlists]]\nregexes = ['Lw0']\npaths = ['x']\ncommits = ['c']", TOKEN, False),
        ("[[allowlists]]\nregexes = ['Lw0']", TOKEN, False),
        ("[allowlist]\nstopwords = ['lw0']", TOKEN, False),
        ("[[allowlists]]\ntargetRules = ['acme']\nregexes = ['Lw0']", TOKEN, False),
        ("[[allowlists]]\ntargetRules = ['other']\nregexes = ['Lw0']", TOKEN, True),
        ("skipReport = true", TOKEN, False),
        ("path = 'x'\ntags = ['a']\ndescription = 'd'", TOKEN, True),
    ],
)
def test_what_a_rule_file_says_is_no_secret(more: str, value: str, counts: bool) -> None:
    """Entropy, both spellings of allowlists at both levels, their targets, words and conditions."""
    assert bool(found(f"x {value} y", ACME + more)) is counts


def test_the_group_that_is_the_value_can_be_chosen() -> None:
    """secretGroup, else the first group that took part."""
    rule = "[[rules]]\nid = 'pair'\nregex = '''acme:(\\w+):(\\w+)'''\n"
    assert found("acme:userrr:passsss", rule) == ["file:pair userrr"]
    assert found("acme:userrr:passsss", rule + "secretGroup = 2") == ["file:pair passsss"]


def test_rules_that_are_only_about_paths_are_left_out() -> None:
    """There are no paths in a prompt."""
    assert file_rules("own.toml", reader(own="[[rules]]\nid = 'p12'\npath = '''\\.p12$'''\n")) == ()


def test_a_file_can_extend_the_built_in_set() -> None:
    """useDefault brings it in, disabledRules takes some out, a rule of the same id changes what it says."""
    toml = """
[extend]
useDefault = true
disabledRules = ["github-pat"]
[[rules]]
id = "npm-access-token"
entropy = 7.9
"""
    github, npm, gitlab = "ghp_" + "q8Zr" * 9, "npm_" + "q8Zr" * 9, "glpat-" + "q8Zr1Lw0Vb5Xk3Tn7mYp"
    assert found(f"{github} {npm} {gitlab}", toml) == [f"gitleaks:gitlab-pat {gitlab}"]


def test_a_file_can_extend_another() -> None:
    """The path is relative to the file that names it."""
    own = "[extend]\npath = 'base.toml'\ndisabledRules = ['b']\n[[rules]]\nid = 'a'\nregex = 'aaaa'\n"
    base = "[[rules]]\nid = 'b'\nregex = 'bbbb'\n[[rules]]\nid = 'c'\nregex = 'cccc'\n"
    assert found("aaaa bbbb cccc", own, base=base) == ["file:a aaaa", "file:c cccc"]
    asked: list[str] = []

    def read(path: str) -> bytes:
        asked.append(path)
        return reader(own=own, base=base)(path)

    file_rules("/etc/rules/own.toml", read)
    assert asked == ["/etc/rules/own.toml", "/etc/rules/base.toml"]


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[[rules", "own.toml: not valid TOML: "),
        ("[[rules]]\nregex = 'a'", "own.toml: rule 1 has no id"),
        ("rules = 3", "own.toml: rules: expected tables, [[rules]]"),
        ("extend = 3", "own.toml: extend: expected a table, [extend]"),
        ("[[rules]]\nid = 'a'\nregex = 3", 'own.toml: rule "a": regex: expected a string'),
        (
            "[[rules]]\nid = 'a'\nregex = '('",
            'own.toml: rule "a": regex: missing ): (; gitleaks uses the same RE2 syntax',
        ),
        ("[[rules]]\nid = 'a'\nregex = '(?=a)'", 'own.toml: rule "a": regex: invalid perl operator: (?='),
        (
            "[[rules]]\nid = 'a'\nregex = 'a*'",
            'own.toml: rule "a": regex: matches the empty string; require at least one character',
        ),
        ("[[rules]]\nid = 'a'\nregex = '((a{900}){900}){900}'", 'own.toml: rule "a": regex: '),
        (
            "[[rules]]\nid = 'a'\nregex = 'a'\nsecretGroup = 1",
            'own.toml: rule "a": secretGroup: group 1 does not exist; the regex has 0',
        ),
        ("[[rules]]\nid = 'a'\nregex = 'a'\nentropy = 'high'", 'own.toml: rule "a": entropy: expected a number'),
        ("[[rules]]\nid = 'a'\nregex = 'a'\nkeywords = 'a'", 'own.toml: rule "a": keywords: expected a list of strings'),
        (ACME + ACME, 'own.toml: rule "acme" is defined twice; rename one of them'),
        (ACME + "[[rules.allowlists]]\nregexes = ['(']", "own.toml: rule \"acme\": allowlist: regexes: '(': missing )"),
        (
            ACME + "[[rules.allowlists]]\nregexTarget = 'file'\nregexes = ['a']",
            'own.toml: rule "acme": allowlist: regexTarget: expected',
        ),
        (
            ACME + "[[rules.allowlists]]\ncondition = 'XOR'\nregexes = ['a']",
            'own.toml: rule "acme": allowlist: condition: expected AND',
        ),
        ("[extend]\npath = 'own.toml'", "own.toml: more than 3 files extend each other; merge some of them"),
        ("#" * 1_000_001, "own.toml: is larger than 1000000 bytes"),
        ("[[rules]]\nid='a'\n" * 2_001, "own.toml: more than 2000 rules; remove some"),
        (
            "[[rules]]\nid = 'a'\nregex = '" + "a" * 20_001 + "'",
            'own.toml: rule "a": regex: is longer than 20000 characters',
        ),
        ("a = " + "[" * 5_000, "own.toml: not valid TOML: "),
    ],
    ids=lambda text: text[:40],
)
def test_what_cannot_be_used_is_refused(toml: str, message: str) -> None:
    """With file, rule, key, and what to do; however large or deep the file is."""
    assert refused(toml).startswith(message)


def test_a_file_that_cannot_be_read_is_refused() -> None:
    """By its name, with what the system says."""

    def read(path: str) -> bytes:
        raise FileNotFoundError(2, "No such file or directory", path)

    with pytest.raises(RulesError) as error:
        file_rules("own.toml", read)
    assert str(error.value) == "own.toml: cannot be read: No such file or directory; check path and permissions"
    with pytest.raises(RulesError, match="is not UTF-8"):
        file_rules("own.toml", lambda path: b"\xff\xfe")


def test_the_example_file_works() -> None:
    """What config/rules shows is accepted, and finds what it says."""
    example = Path(__file__).parents[4] / "config" / "rules" / "gitleaks.example.toml"
    rules = file_rules(str(example), lambda path: Path(path).read_bytes())
    assert len(rules) > 200
    found = Engine(rules).scan(b"deploy with internal_live_0123456789abcdef0123456789abcdef")
    assert "file:acme-internal-token" in {m.rule.id for m in found}


def test_entropy_is_shannon_s() -> None:
    """In bits per byte."""
    assert bits_per_byte(b"aaaa") == 0
    assert bits_per_byte(b"abcd") == 2
