"""`sluicegate selftest`: it passes with a good gate, and it would tell of a bad one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from kits.gatekit import ROOT, clean_env
from sluicegate.cli.selftest import CASES, Nursery, _result
from sluicegate.cli.selftest.rig import open_rig
from sluicegate.cli.selftest.witness import Witness, needles
from sluicegate.core.redact.scan.finder import build_finder
from sluicegate.settings.scrub import Scrub

pytestmark = pytest.mark.e2e


def selftest(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    plain = {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb", "TMPDIR": str(tmp_path), "FORCE_COLOR": None}
    environment = clean_env({**plain, "PYTHONPATH": str(ROOT / "addons")})
    command = [sys.executable, "-m", "sluicegate", "selftest", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)


def test_all_cases_pass(tmp_path: Path) -> None:
    """Every case of the table in 80 plain columns, exit code 0, and nothing stays behind."""
    done = selftest(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.stdout
    for case in CASES:
        assert any(line.startswith(f"{case.title}  ") and " pass" in line for line in lines), case.title
    assert f"{len(CASES)} pass, 0 FAIL, 0 left out" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_of_ones_own(tmp_path: Path) -> None:
    """Own rules, plain names, hashed; what the configuration wants otherwise is left out, and said."""
    rules = tmp_path / "own.toml"
    rules.write_text('[[rules]]\nid = "ours"\nregex = "OURS-[0-9]{12}"\nkeywords = ["ours-"]\n')
    config = tmp_path / "gate.yaml"
    scrub = {
        "mode": "pseudonymize",
        "rules": ["pii", f"file:{rules}"],
        "style": "plain",
        "numbering": "hmac",
        "patterns": {"ticket": "TCK-[0-9A-Z]{20}"},
        "key": "env:NOT_SET_HERE",
        "restore": {"tools": {"Read": False}},
    }
    config.write_text(json.dumps({"scrub": scrub}))
    done = selftest(tmp_path, "--config", str(config), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] is True
    assert [case["case"] for case in told["cases"]] == [case.title for case in CASES]
    left_out = {case["case"]: case["detail"] for case in told["cases"] if case["result"] != "pass"}
    assert left_out.pop("input of Read") == "scrub.restore has Read: false"
    assert all("private key" in case for case in left_out), left_out


def test_a_wrong_configuration(tmp_path: Path) -> None:
    """One line with its place, exit code 2."""
    config = tmp_path / "gate.yaml"
    config.write_text("scrub: {mode: none}\n")
    done = selftest(tmp_path, "--config", str(config))
    assert done.returncode == 2
    assert "gate.yaml:1: scrub.mode" in done.stderr


def test_a_gate_that_hides_nothing_is_told(tmp_path: Path) -> None:
    """In mode detect, which sends everything as it is: every case that sends a secret fails with what leaked and where."""
    scrub = Scrub(rules=("basic",))
    nursery = Nursery(build_finder(rules=scrub.rules, salt=b"x"), Random(1))
    with open_rig(scrub, nursery, tmp_path, mode="detect") as rig:
        results = {case.title: _result(rig, case) for case in CASES}
    fine = {title for title, r in results.items() if r.result == "pass"}
    harmless = {"the witness finds a value in plain sight", "no secrets: body unchanged", "mode block: refused"}
    assert fine == harmless | {"the audit log holds no secret"}
    leaked = {title for title, r in results.items() if r.detail.startswith("LEAK: a value of ")}
    for title in (
        "system prompt",
        "tool input, as a key",
        "in Base64",
        "body in zstd",
        "in the URL: refused",
        "counting tokens",
    ):
        assert title in leaked
    told = "".join(r.detail for r in results.values())
    assert not any(value[8:24] in told for value in rig.planted.values())


@pytest.mark.parametrize("rules", [("basic",), ("basic", "gitleaks", "pii")])
def test_what_is_planted_is_found(rules: tuple[str, ...]) -> None:
    """For nearly every rule something can be made up, each time another value, and its rules find it."""
    finder = build_finder(rules=rules, salt=b"x", pii=("email", "phone", "card"))
    nursery = Nursery(finder, Random(7))
    plants, without = nursery.each_rule()
    assert len(without) <= 8
    for plant in plants:
        assert plant.value in {plant.text[f.start : f.end] for f in finder.find(plant.text)}
    assert len({nursery.plant().value for _ in range(20)}) == 20


def test_a_value_cut_over_two_packets_is_seen() -> None:
    """However the bytes come, and in a request that never ends."""
    wanted = needles({"v": "a-value-of-some-length"})
    witness = Witness()
    tap = witness._connection()
    mark = witness.mark()
    for piece in (b"POST /x HTTP/1.1\r\ncontent-length: 999\r\n\r\na-value-of", b"-some-length"):
        tap(piece)
    assert witness.leaks(mark, wanted) == ["v in the bytes"]
