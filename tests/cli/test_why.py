"""`sluicegate why` with an audit log: the causes of prompt-cache misses, for one session or all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sluicegate.cli import app

MISS = {"what": "tools changed", "lost_tokens": 1200, "lost_usd": 0.0036, "before": None, "now": None}


def record(exchange: str, session: str | None, **miss: object) -> str:
    about = {"exchange": exchange, "session": session, "time": "2026-11-30T07:00:00.000Z"}
    return json.dumps({**about, "prompt_cache_fall": {**MISS, **miss}}, separators=(",", ":"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    lines = [
        record("sg_1", "alpha-1"),
        '{"exchange":"sg_2","session":"alpha-1","prompt_cache_fall":null}',
        record("sg_3", "beta", before="a\x1b[31m", now="b", lost_usd=None),
    ]
    file = tmp_path / "audit.jsonl"
    file.write_text("\n".join(lines) + "\n")
    return file


def why(log: Path, *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["why", *arguments, "--log", str(log)])
    assert result.exit_code == code
    return result.output


def test_misses_of_all_sessions_are_summed_up(log: Path) -> None:
    """Records without a miss do not count; an unknown cost adds nothing."""
    said = why(log)
    assert "tools changed" in said
    assert said.splitlines()[-1] == "total: 2 misses, 2400 tokens, $0.0036"


def test_one_session_is_found_by_the_start_of_its_id_or_by_an_exchange(log: Path) -> None:
    """The other session's misses are not shown."""
    for wanted in ("alpha", "sg_1"):
        said = why(log, wanted)
        assert "alpha-1" in said
        assert "beta" not in said
        assert "total: 1 miss, 1200 tokens" in said
    assert why(log, "gamma") == "no prompt-cache misses recorded for gamma\n"


def test_quoted_values_cannot_steer_the_terminal(log: Path) -> None:
    """Both values are shown escaped."""
    said = why(log, "beta")
    assert r"before: 'a\x1b[31m'" in said
    assert "\x1b" not in said


def test_a_file_that_is_not_an_audit_log_is_an_error(tmp_path: Path) -> None:
    """One line, with the file's name."""
    file = tmp_path / "other"
    file.write_text('{"prompt_cache_fall":{')
    assert why(file, code=2) == f"sluicegate: {file}: not an audit log in JSON\n"
    assert why(tmp_path / "missing", code=2) == f"sluicegate: {tmp_path / 'missing'}: No such file or directory\n"
