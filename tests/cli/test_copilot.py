"""`sluicegate copilot`: the login is kept for its owner alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sluicegate.cli import app
from sluicegate.cli.copilot import keep
from sluicegate.providers.auth import copilot_login
from sluicegate.providers.auth.copilot_login import DeviceCode
from sluicegate.providers.copilot import LOGIN_FILE


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLUICEGATE_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(copilot_login, "begin", lambda: DeviceCode("AB-CD", "https://github.com/login/device", "d", 1, 1))
    monkeypatch.setattr(copilot_login, "wait", lambda code, sleep: "gho_1")
    return tmp_path


def test_login_and_logout(state: Path) -> None:
    """The risk first; then the code to enter; the login is never printed, and gone after a logout."""
    done = CliRunner().invoke(app, ["copilot", "login"], input="y\n")
    assert done.exit_code == 0, done.output
    assert done.output.index("suspended") < done.output.index("AB-CD")
    assert "gho_1" not in done.output
    file = state / LOGIN_FILE
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("gho_1\n", 0o600)
    assert CliRunner().invoke(app, ["copilot", "logout"]).exit_code == 0
    assert not file.exists()


def test_nobody_is_signed_in_without_consent(state: Path) -> None:
    """No is the answer of an empty line."""
    assert CliRunner().invoke(app, ["copilot", "login"], input="\n").exit_code != 0
    assert not (state / LOGIN_FILE).exists()


def test_an_old_login_is_replaced(tmp_path: Path) -> None:
    """Whatever its mode was."""
    path = tmp_path / LOGIN_FILE
    path.write_text("old")
    path.chmod(0o644)
    keep(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new\n", 0o600)
