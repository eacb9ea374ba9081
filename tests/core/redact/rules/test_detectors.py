"""core/redact/rules/detectors.py: the sixteen basic detectors."""

from __future__ import annotations

from random import Random

import pytest

from kits.labelled import (
    FOLLOWERS,
    KINDS,
    finder_of,
    in_context,
    secret,
)
from sluicegate.core.redact.rules.detectors import BASIC

BASIC_ONLY = finder_of("basic")
EVERYTHING = finder_of("basic", "gitleaks", "pii")


def covered(text: str, finder: object = BASIC_ONLY) -> str:
    """The text with all that was found as dots."""
    out = list(text)
    for f in finder.find(text):  # type: ignore[attr-defined]
        out[f.start : f.end] = "." * (f.end - f.start)
    return "".join(out)


def values(text: str, rule: str) -> list[str]:
    return [text[f.start : f.end] for f in BASIC_ONLY.find(text) if f.rule == rule]


def test_there_are_sixteen_in_the_order_of_their_priority() -> None:
    """The order is a promise: the first one that matches names the placeholder."""
    assert tuple(rule.id for rule in BASIC) == KINDS
    assert [rule.priority for rule in BASIC] == list(range(16))
    assert [rule.id for rule in BASIC if rule.tier == "identifier"] == ["email"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("finder", [BASIC_ONLY, EVERYTHING], ids=["basic", "all rules"])
def test_every_secret_is_found_whatever_is_around_it(kind: str, finder: object) -> None:
    """In prose, JSON and code, before any punctuation and at the end of a text: all of it, by its own rule."""
    random = Random(kind)
    for follower in FOLLOWERS * 6:
        value = secret(kind, random)
        text = in_context(kind, value, follower, random)
        at = text.index(value)
        own = [f for f in finder.find(text) if f.rule == kind]  # type: ignore[attr-defined]
        assert any(f.start <= at and f.end >= at + len(value) for f in own), (text, own)


@pytest.mark.parametrize(
    "example",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "x" * 36,
        "ghp_" + "1234567890" * 3 + "123456",
        "sk-ant-api03-EXAMPLEEXAMPLEEXAMPLE",
        "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
        "AIza" + "0" * 35,
        "postgres://user:password@localhost/db",
        "11" + "a" * 32,
        "squ_" + "0" * 40,
    ],
)
def test_examples_are_found_as_well(example: str) -> None:
    """No entropy, no allowlist: what looks like a key in a manual is hidden like one."""
    assert covered(f"export KEY={example};") == f"export KEY={'.' * len(example)};"


@pytest.mark.parametrize(
    ("text", "rule", "found"),
    [
        ("Authorization: Bearer abc123def456", "bearer_token", ["abc123def456"]),
        ("authorization = 'Bearer tok_en'", "bearer_token", ["tok_en"]),
        ('{"Authorization": "Basic dXNlcjpwYXNz"}', "basic_auth", ["dXNlcjpwYXNz"]),
        ("see https://bob:hunter2@git.example.com/x", "basic_auth", ["bob:hunter2"]),
        ("sonar.login=" + "ab" * 20, "sonarqube_token", ["ab" * 20]),
        ("JENKINS_API_TOKEN=" + "ab" * 16, "jenkins_api_token", ["ab" * 16]),
        ("mail bob@example.com.", "email", ["bob@example.com"]),
        ('"a\\nbob@example.com"', "email", ["bob@example.com"]),
        ("x eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0 cut", "jwt", ["eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0"]),
        (
            "eyJhbGciOiJSUzI1NiJ9." + "aB3-" * 9 + "." + "aB3_" * 9,
            "jwt",
            ["eyJhbGciOiJSUzI1NiJ9." + "aB3-" * 9 + "." + "aB3_" * 9],
        ),
        ("eyJlbmMiOiJBMjU2R0NNIn0." + "aB3-" * 8 + (".aB3_" + "aB3_" * 9) * 3, "jwt", 1),
        ("redis://:hunter22@cache:6379/0, next", "db_connection_string", ["redis://:hunter22@cache:6379/0"]),
        ("postgres://u:p@ss@h/db", "db_connection_string", ["postgres://u:p@ss@h/db"]),
        (
            "jdbc:mysql://h/db?user=u&password=pw12 x",
            "db_connection_string",
            ["jdbc:mysql://h/db?user=u&password=pw12"],
        ),
        (
            'c = "Server=h;Database=d;User Id=u;Password=pw12;"',
            "db_connection_string",
            ["Server=h;Database=d;User Id=u;Password=pw12"],
        ),
    ],
)
def test_the_secret_part_is_what_is_hidden(text: str, rule: str, found: list[str] | int) -> None:
    """The token without its scheme, user and password of a web URL, and all of a connection string."""
    assert (values(text, rule) if isinstance(found, list) else len(values(text, rule))) == found


@pytest.mark.parametrize(
    "text",
    [
        "The Bearer authentication scheme; bearer tokens are opaque.",
        "a basic understanding, Basic Authentication, basic configuration",
        "logo@2x.png, getty@tty1.service, git@github.com:org/repo.git, foo@1.2.3",
        "self.s.handleIncomingConnection() and s.noDeleteOnFetchRejection",
        "task-scheduler-configuration, disk-0123456789abcdef, risk-assessment-of-everything",
        "postgres://localhost/db and redis://cache:6379/0 and https://example.com/@scope/package",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----, -----BEGIN PUBLIC KEY-----",
        "ASIASOUTHEAST_1 and AKIA",
    ],
)
def test_words_that_look_alike_are_left_alone(text: str) -> None:
    """Ungated does not mean blind: schemes, files, methods and public keys are no secrets."""
    assert BASIC_ONLY.find(text) == ()
