"""Child processes of a command: found by their output, gone at the end, and started without this shell's settings."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sluicegate.cli.processes import Child, ProcessError

PROGRAM = """\
import os, sys, time
print("state", os.environ["SLUICEGATE_STATE_DIR"])
print("leaked", [n for n in os.environ if n in ("HTTPS_PROXY", "ANTHROPIC_API_KEY", "SLUICEGATE_CONFIG")])
print("listening on http://127.0.0.1:1", flush=True)
time.sleep(600)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that a child can run."""
    (tmp_path / "childprogram.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "childprogram"


def test_a_child_is_ready_once_its_output_says_so_and_gone_at_the_end(tmp_path: Path, module: str) -> None:
    """`found` is the address from the output; leaving the block ends the process."""
    with Child("program", [module], tmp_path, r"listening on (http://\S+)\n") as child:
        assert child.found == "http://127.0.0.1:1"
        assert child.line("state") == str(tmp_path / "state")
        assert not child.ended
    assert child.ended


def test_a_child_does_not_inherit_proxies_keys_and_settings(
    tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy, a key or a configuration in the user's shell must not reach the gate that a command starts."""
    for name in ("HTTPS_PROXY", "ANTHROPIC_API_KEY", "SLUICEGATE_CONFIG"):
        monkeypatch.setenv(name, "mine")
    with Child("program", [module], tmp_path, r"listening on (\S+)\n") as child:
        assert child.line("leaked") == "[]"


def test_a_child_that_ends_early_is_an_error_with_its_output(tmp_path: Path) -> None:
    """The message names the child and holds what it printed last."""
    with (
        pytest.raises(
            ProcessError, match=r"^the gate did not start; its output:\n.*No module named sluicegate\.absent"
        ) as e,
        Child("gate", ["sluicegate.absent"], tmp_path, "never"),
    ):
        pass
    assert sys.executable in str(e.value)
