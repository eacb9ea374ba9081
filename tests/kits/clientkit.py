"""What the client tests share besides fixtures: doors, the rule for missing programs, running one with a deadline."""

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from kits.gatekit import ROOT

HERE = Path(__file__).parents[1] / "clients"
NPM_CLIENTS = ROOT / ".cache" / "npm-clients"
IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")
API_KEY = "sk-ant-api03-not-a-real-key"

INSTALL_TIMEOUT_S = 600
CLIENT_TIMEOUT_S = 90

type RunNode = Callable[..., Any]
"""(script, *arguments) -> the JSON it printed"""
type RunClaude = Callable[..., str]
"""(prompt, *arguments) -> what it printed"""


@dataclass(frozen=True, slots=True)
class Door:
    """A way to the simulator: `name`, and the environment that sends an unmodified client that way."""

    name: str
    environment: Mapping[str, str]


def cannot_run(why: str) -> NoReturn:
    """Skip on a developer's machine; in CI every client has to be there."""
    if IN_CI:
        pytest.fail(why)
    pytest.skip(why)


def run_program(command: list[str], environment: Mapping[str, str], workdir: Path, timeout_s: float) -> str:
    """What the command prints on stdout; AssertionError with everything printed when it fails or takes too long."""
    try:
        done = subprocess.run(
            command,
            env=dict(environment),
            cwd=workdir,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"{command[0]} took longer than {timeout_s} s: {late.stdout!r} {late.stderr!r}") from None
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
