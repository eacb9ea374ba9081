"""`sluicegate scrub`: what it shows of a text and of a request, and what it keeps to itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from kits.gatekit import BIN, clean_env

pytestmark = pytest.mark.e2e

SECRET = "ghp_" + "a1B2c3D4e5F6" * 3
MAIL = "ann.smith@megacorp.com"


def scrub(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = clean_env({"NO_COLOR": "1", "COLUMNS": "80"})
    command = [str(BIN / "sluicegate"), "scrub", *arguments]
    return subprocess.run(command, input=stdin, env=environment, capture_output=True, timeout=60, check=False)


def test_a_text(tmp_path: Path) -> None:
    """Placeholders in place of values, all other bytes as they were, even those that are no UTF-8."""
    file = tmp_path / "text"
    file.write_bytes(f"a {SECRET}\r\nb {SECRET} ".encode() + b"\xff\x00 end")
    done = scrub(str(file))
    assert done.stdout == b"a <GITHUB_TOKEN_1>\r\nb <GITHUB_TOKEN_1> \xff\x00 end"
    assert done.stderr == b"sluicegate: found github_token 1\n"
    assert done.returncode == 0


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_a_request_on_stdin(arguments: tuple[str, ...]) -> None:
    """It is walked as a request: what the API gives (a model's name) is left alone, keys of inputs are not."""
    body = {"model": SECRET, "messages": [{"role": "user", "content": f"x {SECRET}"}], "n": 1.50}
    done = scrub(*arguments, stdin=json.dumps(body, indent=1).encode())
    expected = json.dumps({**body, "messages": [{"role": "user", "content": "x <GITHUB_TOKEN_1>"}]}, indent=1)
    assert done.stdout.decode() == expected


def test_explained() -> None:
    """A row for each place with its rule, path, reason and length; four characters of the value; 80 columns."""
    body = {"messages": [{"role": "user", "content": f"{SECRET} {MAIL} <STALE_1>"}], "x": {SECRET: 1}}
    done = scrub("--explain", "--rules", "basic,gitleaks", stdin=json.dumps(body).encode())
    shown = done.stdout.decode()
    assert max(map(len, shown.splitlines())) <= 80
    assert SECRET[:5] not in shown
    assert MAIL[:5] not in shown
    for words in ("github_token", "GITHUB_TOKEN", "(secret)", "ghp_… (40)", "(identifier)", "keyword @", "placeholder"):
        assert words in shown
    assert "messages[0].content" in shown
    assert "x.(a key)" in shown
    place = scrub("--explain", stdin=f"one\ntwo {SECRET}".encode()).stdout.decode()
    assert "2:5 " in place


def test_check() -> None:
    """For hooks: 1 where something is found, 0 where nothing is; no text either way."""
    found, clean = scrub("--check", stdin=SECRET.encode()), scrub("--check", stdin=b"hello")
    assert (found.returncode, found.stdout) == (1, b"")
    assert (clean.returncode, clean.stdout, clean.stderr) == (0, b"", b"sluicegate: nothing found\n")


def test_rules_and_style_come_from_the_configuration(tmp_path: Path) -> None:
    """Own patterns and plain names; --rules takes other rule sets and leaves the rest."""
    config = tmp_path / "gate.yaml"
    config.write_text("scrub: {rules: [basic], style: plain, patterns: {ticket: 'TCK-[0-9]{6}'}}\n")
    text = f"TCK-123456 {SECRET}".encode()
    assert scrub("--config", str(config), stdin=text).stdout == b"TICKET_x00000001 GITHUB_TOKEN_x00000001"
    assert scrub("--config", str(config), "--rules", "pii", stdin=text).stdout == b"TICKET_x00000001 " + SECRET.encode()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/nowhere/at/all"], b"cannot read /nowhere/at/all: No such file or directory"),
        (["--rules", "basik"], b'unknown rule set "basik"'),
        (["--rules", "file:/nowhere"], b"/nowhere: cannot be read"),
        (["--config", "/nowhere"], b"cannot be read"),
    ],
)
def test_what_is_wrong_is_said(arguments: list[str], words: bytes) -> None:
    """In one line, with exit code 2."""
    done = scrub(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count(b"\n") == 1
