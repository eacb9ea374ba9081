"""Claude Code, unmodified, at a gate that wants a key: by each door, and turned away in words that it shows."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kits.clientkit import (
    CLIENT_TIMEOUT_S,
    HERE,
    cannot_run,
    run_program,
)
from kits.gatekit import GATE_SCRIPT, Gate, Simulator

KEY = "sk-sg-a-static-key-of-these-tests"
CONFIG = """\
providers: {anthropic: {kind: anthropic, base_url: "${UPSTREAM}", keys: ["env:PROVIDER_KEY"]}}
identity: {mode: keys, keys: [{key: "env:TEAM_KEY", team: a, name: tests}]}
audit: {log: "file:${STATE}/audit.jsonl"}
"""
ENV = {"TEAM_KEY": KEY, "PROVIDER_KEY": "sk-ant-api03-of-the-gate"}


@pytest.fixture
def keyed(tmp_path: Path, sim: Simulator) -> Iterator[Gate]:
    scripts = (GATE_SCRIPT, HERE / "stay_here.py")
    with Gate(tmp_path / "gate", upstream=sim.url, config=CONFIG, env=ENV, regular=True, scripts=scripts) as gate:
        yield gate


def environment(tmp_path: Path, **own: str) -> dict[str, str]:
    for name in ("home", "project"):
        (tmp_path / name).mkdir()
    fixed = {"IS_SANDBOX": "1", "DISABLE_TELEMETRY": "1", "DISABLE_AUTOUPDATER": "1"}
    quiet = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")}
    return {**fixed, **quiet, **own}


def program(npm_clients: Path) -> str:
    path = npm_clients / "node_modules" / ".bin" / "claude"
    if not path.exists():
        cannot_run("Claude Code is not installed: run scripts/install-clients")
    return str(path)


@pytest.mark.parametrize("by", ["x-api-key", "bearer", "proxy"])
def test_with_a_key(npm_clients: Path, keyed: Gate, sim: Simulator, tmp_path: Path, by: str) -> None:
    """As API key, as Bearer token, as the proxy's password beside a dummy; the provider sees the gate's own key."""
    own = {
        "x-api-key": {"ANTHROPIC_BASE_URL": keyed.url, "ANTHROPIC_API_KEY": KEY},
        "bearer": {"ANTHROPIC_BASE_URL": keyed.url, "ANTHROPIC_AUTH_TOKEN": KEY},
        "proxy": {
            "HTTPS_PROXY": keyed.proxy_url.replace("http://", f"http://claude:{KEY}@"),
            "NODE_EXTRA_CA_CERTS": str(keyed.ca_cert),
            "ANTHROPIC_API_KEY": "unused",
        },
    }[by]
    printed = run_program(
        [program(npm_clients), "-p", "hello"], environment(tmp_path, **own), tmp_path / "project", CLIENT_TIMEOUT_S
    )
    assert "Hello from the simulator" in printed
    assert {call["credential"] for call in sim.calls()} == {ENV["PROVIDER_KEY"]}
    assert {r["key_name"] for r in keyed.audit_records() if r["surface"] == "messages"} == {"tests"}


def test_without_one(npm_clients: Path, keyed: Gate, sim: Simulator, tmp_path: Path) -> None:
    """It gives up at once and says what is wrong; nothing went upstream."""
    own = {"ANTHROPIC_BASE_URL": keyed.url, "ANTHROPIC_API_KEY": "sk-ant-api03-the-users-own"}
    done = subprocess.run(
        [program(npm_clients), "-p", "hello"],
        env=environment(tmp_path, **own),
        cwd=tmp_path / "project",
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=CLIENT_TIMEOUT_S,
        check=False,
    )
    assert done.returncode != 0
    assert "virtual key" in done.stdout + done.stderr
    assert sim.calls() == []
    assert len([r for r in keyed.audit_records() if r["surface"] == "messages"]) == 1
