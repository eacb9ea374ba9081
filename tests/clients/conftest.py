"""Real clients: the npm packages they need, one gate with both doors for all of them, and each door as an environment.

Outside CI a client that is not installed is skipped, with the reason; with CI=true it fails.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certifi
import pytest

from kits.clientkit import (
    API_KEY,
    CLIENT_TIMEOUT_S,
    HERE,
    IN_CI,
    INSTALL_TIMEOUT_S,
    NPM_CLIENTS,
    Door,
    RunClaude,
    RunNode,
    cannot_run,
    run_program,
)
from kits.gatekit import (
    GATE_SCRIPT,
    ROOT,
    Gate,
    Simulator,
    clean_env,
)


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator(tmp_path_factory.mktemp("simulator")) as running:
        yield running


@pytest.fixture(scope="session")
def gate(tmp_path_factory: pytest.TempPathFactory, simulator: Simulator) -> Iterator[Gate]:
    """One gate with the reverse and the regular door; everything goes to the simulator."""
    scripts = (GATE_SCRIPT, HERE / "stay_here.py")
    with Gate(tmp_path_factory.mktemp("gate"), upstream=simulator.url, regular=True, scripts=scripts) as running:
        yield running


@pytest.fixture
def sim(simulator: Simulator) -> Simulator:
    """The shared simulator, with no calls and no script from the test before."""
    simulator.script([])
    simulator.clear()
    return simulator


@pytest.fixture(params=["direct", "reverse", "regular"])
def door(request: pytest.FixtureRequest, sim: Simulator, tmp_path: Path) -> Door:
    """`direct` is the control: where it fails too, the gate is not to blame."""
    own = {"ANTHROPIC_API_KEY": API_KEY}
    if request.param == "direct":
        return Door("direct", {**own, "ANTHROPIC_BASE_URL": sim.url})
    gate: Gate = request.getfixturevalue("gate")
    if request.param == "reverse":
        return Door("reverse", {**own, "ANTHROPIC_BASE_URL": gate.url})
    bundle = tmp_path / "ca-bundle.pem"
    bundle.write_text(Path(certifi.where()).read_text() + gate.ca_cert.read_text())
    trust = {"SSL_CERT_FILE": str(bundle), "NODE_EXTRA_CA_CERTS": str(gate.ca_cert), "NODE_USE_ENV_PROXY": "1"}
    return Door("regular", {**own, **trust, "HTTPS_PROXY": gate.proxy_url})


@pytest.fixture(scope="session")
def npm_clients() -> Path:
    """The folder with the npm packages of package.json; CI installs them here, others run scripts/install-clients."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            cannot_run(f"{program} is not installed")
    wanted, installed = HERE / "package.json", NPM_CLIENTS / "installed.json"
    if not IN_CI and not (installed.exists() and installed.read_bytes() == wanted.read_bytes()):
        cannot_run("the npm clients are not installed: run scripts/install-clients")
    NPM_CLIENTS.mkdir(parents=True, exist_ok=True)
    with (NPM_CLIENTS.parent / "install.lock").open("w") as lock:  # test workers come here at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        run_program([str(ROOT / "scripts" / "install-clients")], clean_env(), ROOT, INSTALL_TIMEOUT_S)
    return NPM_CLIENTS


@pytest.fixture
def node(npm_clients: Path, door: Door, tmp_path: Path) -> RunNode:
    """Run one of this folder's .mjs scripts with arguments, by the door; gives the JSON it prints."""
    workdir = tmp_path / "node"
    workdir.mkdir()
    (workdir / "node_modules").symlink_to(npm_clients / "node_modules")

    def run(script: str, *arguments: str) -> Any:
        copy = shutil.copy(HERE / script, workdir)
        printed = run_program(["node", str(copy), *arguments], clean_env(door.environment), workdir, CLIENT_TIMEOUT_S)
        return json.loads(printed)

    return run


@pytest.fixture
def claude(npm_clients: Path, door: Door, tmp_path: Path) -> RunClaude:
    """Run `claude -p PROMPT …` by the door, in an empty folder with an empty home; gives what it prints."""
    program = npm_clients / "node_modules" / ".bin" / "claude"
    if not program.exists():
        cannot_run("Claude Code is not installed: run scripts/install-clients")
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "IS_SANDBOX": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        **door.environment,
    }

    def run(prompt: str, *arguments: str) -> str:
        return run_program([str(program), "-p", prompt, *arguments], environment, project, CLIENT_TIMEOUT_S)

    return run
