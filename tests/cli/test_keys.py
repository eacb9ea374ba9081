"""`sluicegate keys`: what a person or a script gets from it."""

import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from kits.gatekit import BIN, clean_env
from sluicegate.cli import app


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def command(*arguments: str, code: int = 0, **env: str) -> Result:
        environment = {"SLUICEGATE_STATE_DIR": str(tmp_path / "state"), "NO_COLOR": "1", "COLUMNS": "80", **env}
        done = CliRunner().invoke(app, ["keys", *arguments], env=environment)
        assert done.exit_code == code, done.output
        return done

    return command


def rows(run: Any, **env: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(run("list", "--json", **env).stdout)
    return listed


@pytest.mark.e2e
def test_a_key_is_all_that_stdout_holds(tmp_path: Path) -> None:
    """So that it pipes; words are on stderr. It is kept nowhere, and what is kept is its owner's."""
    environment = clean_env({"SLUICEGATE_STATE_DIR": str(tmp_path / "state")})
    line = [str(BIN / "sluicegate"), "keys", "add", "--name", "laptop"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60, check=True)
    key = done.stdout.removesuffix("\n")
    assert key.startswith("sk-sg-")
    assert key.isascii()
    assert " " not in key
    assert "laptop" in done.stderr
    assert "not shown again" in done.stderr
    assert key not in done.stderr
    state = tmp_path / "state"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    for file in state.rglob("*"):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0
        assert key[6:].encode() not in file.read_bytes()


def test_all_that_a_key_can_have(run: Any) -> None:
    """Comes back in the list, as JSON."""
    run(
        *("add", "--team", "a", "--user", "u", "--project", "p", "--tag", "k=v", "--tag", "cost_center=4711=x"),
        *("--budget", "5/day,50/month", "--models", "claude-haiku-*,claude-sonnet-*", "--models", "x", "--name", "n"),
        *("--expires", "2099-01-31"),
    )
    (row,) = rows(run)
    row.pop("created")
    assert row.pop("id").startswith("key_")
    assert row == {
        "name": "n",
        "state": "active",
        "team": "a",
        "user": "u",
        "project": "p",
        "tags": {"k": "v", "cost_center": "4711=x"},
        "models": ["claude-haiku-*", "claude-sonnet-*", "x"],
        "budget_usd": {"day": 5.0, "month": 50.0},
        "expires": "2099-01-31T00:00:00Z",
        "old_key_until": None,
    }


def test_update_changes_what_it_names_and_nothing_else(run: Any) -> None:
    """The key itself, its id and its other properties stay; a tag joins the others; --clear empties a property."""
    run(
        "add", "--name", "n", "--team", "a", "--tag", "k=v", "--budget", "5/day", "--models", "x", "--expires", "2099-01-31"
    )
    (before,) = rows(run)
    done = run("update", before["id"], "--team", "b", "--tag", "l=w", "--budget", "50/month", "--clear", "models")
    assert done.stdout == ""
    assert "is updated" in done.stderr
    assert rows(run) == [{**before, "team": "b", "tags": {"k": "v", "l": "w"}, "budget_usd": {"month": 50.0}, "models": []}]
    run("update", before["id"], *("--clear", "tags", "--tag", "m=x", "--clear", "expires", "--clear", "budget"))
    (after,) = rows(run)
    assert (after["tags"], after["expires"], after["budget_usd"], after["name"]) == ({"m": "x"}, None, None, "n")
    assert "nothing to change" in run("update", before["id"], code=2).stderr
    assert "--clear: expected one of name, team" in run("update", before["id"], "--clear", "x", code=2).stderr
    twice = run("update", before["id"], "--clear", "budget", "--budget", "1/day", code=2)
    assert "--clear: budget is also given a value" in twice.stderr
    assert "keys list" in run("update", "key_nothing", "--team", "b", code=1).stderr
    run("revoke", before["id"])
    assert "permanently" in run("update", before["id"], "--team", "c", code=1).stderr


def test_the_list_fits_eighty_columns(run: Any) -> None:
    """Long names are cut, ids never; no colour in a pipe. An empty list says what to do."""
    assert "keys add" in run("list").stderr
    run("add", "--name", "n" * 60, "--team", "t" * 60, "--user", "u" * 60, "--budget", "0.000001/hour,999999999/month")
    run("add", "--expires", "90d")
    printed = run("list").stdout
    assert all(len(line) <= 80 for line in printed.splitlines())
    assert "\x1b" not in printed
    for row in rows(run):
        assert row["id"] in printed


def test_states(run: Any) -> None:
    """Paused, resumed, rotated with a grace, revoked permanently."""
    first = run("add").stdout
    key_id = rows(run)[0]["id"]
    run("pause", key_id)
    assert rows(run)[0]["state"] == "paused"
    run("resume", key_id)
    second = run("rotate", key_id, "--grace", "1h")
    assert second.stdout != first
    assert "the old key remains valid for 1h" in second.stderr
    row = rows(run)[0]
    assert (row["id"], row["state"]) == (key_id, "active")
    assert row["old_key_until"]
    run("rotate", key_id)
    assert rows(run)[0]["old_key_until"] is None
    run("revoke", key_id)
    run("revoke", key_id)
    assert rows(run)[0]["state"] == "revoked"
    for command in ("resume", "pause", "rotate"):
        assert "permanently" in run(command, key_id, code=1).stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--budget", "50"), "--budget: expected US dollars"),
        (("--expires", "soon"), "--expires: expected a duration"),
        (("--expires", "2020-01-01"), "--expires: expected a time in the future"),
        (("--expires", "0s"), "--expires: expected a time in the future"),
        (("--tag", "x"), "--tag: expected NAME=VALUE"),
        (("--tag", "a b=c"), "--tag: expected letters"),
        (("--team", "a/b"), "--team: expected letters"),
        (("--models", ""), "--models: expected a pattern"),
    ],
)
def test_wrong_options_make_no_key(run: Any, arguments: tuple[str, ...], words: str) -> None:
    """One line that names the option."""
    done = run("add", *arguments, code=2)
    assert done.stdout == ""
    assert done.stderr.startswith(f"sluicegate: {words}")
    assert done.stderr.count("\n") == 1
    assert rows(run) == []


def test_an_id_that_is_none(run: Any) -> None:
    """Is said, with where to look."""
    assert "keys list" in run("revoke", "key_nothing", code=1).stderr


def test_the_configuration_says_where(run: Any, tmp_path: Path) -> None:
    """Its state folder and hash key; a broken one is told with its line. Other secrets of it are not needed here."""
    config = tmp_path / "gate.yaml"
    config.write_text(
        f"state_dir: {tmp_path}/elsewhere\n"
        "identity: {mode: keys, hash_key: 'env:HASH', admin_token: 'env:NOT_SET'}\n"
        "providers: {a: {kind: anthropic, keys: ['env:NOT_SET_EITHER']}}\n"
    )
    run("add", "--config", str(config), HASH="one")
    assert (tmp_path / "elsewhere" / "keys.sqlite").exists()
    assert not (tmp_path / "state").exists()
    assert len(rows(run, SLUICEGATE_CONFIG=str(config), HASH="one")) == 1
    assert "identity.hash_key" in run("list", "-c", str(config), code=2, HASH="another").stderr
    assert "env:HASH is not set" in run("list", "-c", str(config), code=2).stderr
    config.write_text("identity: {mod: keys}")
    assert f"{config}:1: identity.mod: unknown key" in run("list", "-c", str(config), code=2).stderr


@pytest.mark.parametrize("folder", ["/proc/none", "/dev/null/none"])
def test_a_folder_that_nobody_may_write_to(run: Any, folder: str) -> None:
    """One line, not a trace."""
    said = run("list", code=2, SLUICEGATE_STATE_DIR=folder)
    assert said.stderr.count("\n") == 1
    assert folder in said.stderr


def test_a_database_that_is_not_there(run: Any, tmp_path: Path) -> None:
    """One line, without the password."""
    config = tmp_path / "gate.yaml"
    config.write_text("audit: {ledger: 'postgresql://u:hunter2@127.0.0.1:1/d'}")
    said = run("add", "-c", str(config), code=2)
    assert said.stderr.startswith("sluicegate: PostgreSQL: connection")
    assert "hunter2" not in said.stderr
    assert said.stdout == ""


def test_a_user_may_be_an_e_mail_address(run: Any) -> None:
    """As in the configuration, where limits.users names them; other texts are refused."""
    run("add", "--user", "ann.b+c@corp.example")
    assert [row["user"] for row in rows(run)] == ["ann.b+c@corp.example"]
    assert "--user: expected a name, or an e-mail address" in run("add", "--user", "a b", code=2).output
