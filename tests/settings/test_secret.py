"""References to secrets: what is accepted, what is read, what is never shown."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sluicegate.settings import (
    Secret,
    SecretError,
    Settings,
    secret,
)

LITERAL = "sk-ant-api03-hunter2"


@pytest.mark.parametrize(
    "text",
    [
        "identity: {admin_token: %s}",
        "providers: {a: {kind: anthropic, keys: [%s]}}",
        "providers: {a: {kind: anthropic, keys: %s}}",
        "providers: {a: {kind: vertex, project: p, location: l, token: %s}}",
        "providers: {a: {kind: bedrock, region: r, credentials: {secret_key: %s}}}",
        "providers: {a: {kind: bedrock, region: r, credentials: %s}}",
        "identity: {keys: [{key: %s}]}",
        "scrub: {key: %s}",
        "scrub: {key: 'env:%s'}",
        "scrub: {key: {reference: %s}}",
        "identity: {admin_token: '${K}'}",
        "providers: {a: {kind: anthropic, base_url: 'https://u:%s@h'}}",
        "providers: {a: {kind: anthropic, base_url: 'ftp://%s'}}",
        "providers: {a: {kind: anthropic, proxy: 'socks5://u:%s@h'}}",
        "providers: {a: {kind: anthropic, headers: {authorization: 'Bearer %s'}}}",
        "store: 'redi://:%s@h'",
        "audit: {ledger: 'mysql://u:%s@h/d'}",
    ],
)
def test_a_literal_is_refused_and_not_repeated(refused: Callable[..., list[str]], text: str) -> None:
    """A secret written into the file is refused; the message does not contain it."""
    lines = refused(text.replace("%s", LITERAL), K=LITERAL)
    assert lines
    assert "hunter2" not in "".join(lines)


def test_the_refusal_says_what_to_write(refused: Callable[..., list[str]]) -> None:
    """The message names the three kinds of reference."""
    (line,) = refused(f"\nidentity: {{admin_token: {LITERAL}}}")
    assert line == (
        "gate.yaml:2: identity.admin_token: expected a reference to a secret "
        "(env:NAME, file:PATH or cmd:COMMAND), not the secret itself"
    )


@pytest.mark.parametrize(
    "written", ["env:", "env:a b", "env:1A", "file:", "cmd:", "cmd:echo 'x", "ENV:A", 5, None, ["env:A"]]
)
def test_malformed_references(written: object) -> None:
    """A reference needs its name, path or command."""
    with pytest.raises(ValueError):
        Secret.parse(written)


def test_only_the_reference_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Printing, comparing and hashing a secret use the reference."""
    reference = Secret.parse("env:TOKEN")
    assert repr(reference) == "Secret('env:TOKEN')"
    assert f"{reference}" == "env:TOKEN"
    assert {reference} == {Secret.parse("env:TOKEN")}
    assert reference.resolve({"TOKEN": "hunter2"}) == "hunter2"
    assert "hunter2" not in repr(reference)


def test_file(tmp_path: Path) -> None:
    """A file gives its text without the line break at its end."""
    (tmp_path / "key").write_text("hunter2\n")
    assert Secret.parse(f"file:{tmp_path}/key").resolve({}) == "hunter2"


def test_command(tmp_path: Path) -> None:
    """A command is split into words and run without a shell, in the given environment."""
    assert Secret.parse("cmd:printf '%s\\n' 'a  b;$HOME'").resolve(dict(os.environ)) == "a  b;$HOME"
    shown = Secret.parse(f"cmd:{sys.executable} -c 'import os; print(os.environ[\"ONLY\"])'")
    assert shown.resolve({"ONLY": "here"}) == "here"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("env:NOPE", "env:NOPE is not set"),
        ("env:EMPTY", "env:EMPTY is empty"),
        ("env:LINES", "env:LINES has line breaks or control characters in it"),
        ("file:/nowhere/at/all", "file:/nowhere/at/all cannot be read: No such file or directory"),
        ("cmd:/nowhere/at/all x", "cmd:/nowhere/at/all x could not be started: No such file or directory"),
        ("cmd:sh -c 'echo hunter2; echo hunter2 >&2; exit 3'", "failed with exit code 3"),
        ("cmd:true", "cmd:true is empty"),
    ],
)
def test_failures_name_the_reference(reference: str, message: str) -> None:
    """What cannot be resolved is told by its reference, without a command's output."""
    with pytest.raises(SecretError) as caught:
        Secret.parse(reference).resolve({"EMPTY": "", "LINES": "hunter2\nx", "PATH": os.environ["PATH"]})
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value).replace(reference, "")


def test_a_command_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command is given up after its time, even if a child of it keeps the pipe open."""
    monkeypatch.setattr(secret, "COMMAND_TIMEOUT_S", 0.3)
    begun = time.monotonic()
    with pytest.raises(SecretError, match="gave no answer within"):
        Secret.parse("cmd:sh -c 'sleep 30 & sleep 30'").resolve({"PATH": os.environ["PATH"]})
    assert time.monotonic() - begun < 10


def test_check_secrets(read: Callable[..., Settings]) -> None:
    """Loading does not need the secrets; a check tells which are missing, without running a command."""
    settings = read(
        "providers: {a: {kind: anthropic, keys: [env:THERE, env:NOPE]}}\n"
        "identity: {admin_token: file:/nowhere, keys: [{key: cmd:no-such-command-here}]}\n"
        "scrub: {key: cmd:sh -c 'exit 1'}"
    )
    errors = settings.check_secrets({"THERE": "x", "PATH": os.environ["PATH"]})
    assert [str(error) for error in errors] == [
        "providers.a.keys[1]: env:NOPE is not set",
        "identity.admin_token: file:/nowhere cannot be read",
        "identity.keys[0].key: cmd:no-such-command-here names a command that is not there",
    ]
