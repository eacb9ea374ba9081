"""The sluicegate command, as a user runs it."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kits.gatekit import (
    BIN,
    ROOT,
    Gate,
    Simulator,
    clean_env,
    free_port,
    request,
)

pytestmark = pytest.mark.e2e


def sluicegate(*arguments: str, state: Path, **env: str) -> subprocess.CompletedProcess[str]:
    environment = clean_env({"SLUICEGATE_STATE_DIR": str(state), "NO_COLOR": "1", "COLUMNS": "80", **env})
    return subprocess.run(
        [str(BIN / "sluicegate"), *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = tmp_path_factory.mktemp("cli")
    with Simulator(folder / "sim") as sim:
        config = f"providers: {{anthropic: {{kind: anthropic, base_url: '{sim.url}'}}}}\naudit: {{log: 'off'}}\n"
        with Gate(folder / "gate", upstream=sim.url, program="sluicegate", regular=True, config=config) as gate:
            yield gate


def test_run_says_where_its_doors_are(gate: Gate) -> None:
    """The reverse door as a base URL, the regular door as the command that uses it."""
    gate.wait_for_output("sluicegate is open")
    assert f"ANTHROPIC_BASE_URL=http://127.0.0.1:{gate.port}" in gate.output()
    assert f"http://127.0.0.1:{gate.proxy_port}" in gate.output()


def test_env_is_for_a_shell(gate: Gate) -> None:
    """It names the running gate's door and CA, and takes ALL_PROXY away: with it, calls would go past the gate."""
    printed = sluicegate("env", state=gate.state_dir).stdout
    assert f"export HTTPS_PROXY=http://127.0.0.1:{gate.proxy_port}\n" in printed
    assert "unset ALL_PROXY all_proxy" in printed
    assert f"export NODE_EXTRA_CA_CERTS={gate.ca_cert}" in printed
    assert "export ALL_PROXY" not in printed


def test_env_as_settings_of_claude_code(gate: Gate) -> None:
    """The same as the env block of a settings.json."""
    block = json.loads(sluicegate("env", "--settings", state=gate.state_dir).stdout)["env"]
    assert block["HTTPS_PROXY"] == f"http://127.0.0.1:{gate.proxy_port}"
    assert block["NODE_USE_ENV_PROXY"] == "1"


def test_exec_sends_an_unmodified_client_through_the_gate(gate: Gate) -> None:
    """A Python client that knows nothing of the gate: its call to api.anthropic.com is served by the provider."""
    client = (
        "import json, os, urllib.request as u\n"
        "assert 'ALL_PROXY' not in os.environ\n"
        "body = {'model': 'claude-haiku-4-5', 'max_tokens': 9, 'messages': [{'role': 'user', 'content': 'hi'}]}\n"
        "r = u.Request('https://api.anthropic.com/v1/messages', json.dumps(body).encode(), {'x-api-key': 'k'})\n"
        "print(json.load(u.urlopen(r, timeout=20))['type'])\n"
    )
    done = sluicegate("exec", "--", sys.executable, "-c", client, state=gate.state_dir, ALL_PROXY="socks5://127.0.0.1:1")
    assert (done.returncode, done.stdout.strip()) == (0, "message"), done.stderr


def test_exec_gives_the_commands_exit_code_and_arguments(gate: Gate) -> None:
    """Options after -- are the command's own."""
    code = "import sys; print(sys.argv[1:]); sys.exit(7)"
    done = sluicegate("exec", "--", sys.executable, "-c", code, "--proxy", "-h", state=gate.state_dir)
    assert (done.returncode, done.stdout.strip()) == (7, "['--proxy', '-h']")


def test_without_a_gate_env_says_what_to_do(tmp_path: Path) -> None:
    """One line, and an exit code."""
    done = sluicegate("env", state=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "sluicegate run" in done.stderr


def test_run_refuses_a_taken_port(tmp_path: Path) -> None:
    """It names the port and the option that changes it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = sluicegate("run", "--reverse", port, state=tmp_path)
    assert done.returncode == 2
    assert port in done.stderr
    assert "--reverse" in done.stderr


def test_run_and_check_refuse_a_bad_configuration_with_its_place(tmp_path: Path) -> None:
    """File, line, key and what is wrong; nothing is started."""
    file = tmp_path / "bad.yaml"
    file.write_text("audit:\n  log: stdout\n  formt: line\n")
    for command in (["run", "--reverse", "0", "--config"], ["check"]):
        done = sluicegate(*command, str(file), state=tmp_path)
        assert done.returncode == 2
        assert f"{file}:3: audit.formt: unknown key; did you mean format?" in done.stderr


def test_check_passes_the_shipped_files(tmp_path: Path) -> None:
    """The configuration that comes with the project is a good one."""
    done = sluicegate("check", str(ROOT / "config" / "sluicegate.yaml"), state=tmp_path)
    assert done.returncode == 0, done.stderr


def test_check_says_which_preset_has_no_key(tmp_path: Path) -> None:
    """It is no fault, as clients may bring one; but somebody may have forgotten to set a variable."""
    file = tmp_path / "gate.yaml"
    file.write_text("providers:\n  fast: {provider: groq}\n  here: {provider: ollama}\n")
    done = sluicegate("check", str(file), state=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines()[1:] == ["providers.fast: GROQ_API_KEY is not set; clients must send their own API key"]


def test_check_without_the_secrets_at_hand(tmp_path: Path) -> None:
    """In CI: the file is checked, and the references that could not be followed are listed; other faults still count."""
    file = tmp_path / "gate.yaml"
    file.write_text("providers:\n  anthropic: {kind: anthropic, keys: ['env:SLUICEGATE_TEST_ABSENT']}\n")
    strict = sluicegate("check", str(file), state=tmp_path)
    assert strict.returncode == 2
    assert "SLUICEGATE_TEST_ABSENT" in strict.stderr
    lenient = sluicegate("check", "--without-secrets", str(file), state=tmp_path)
    assert lenient.returncode == 0, lenient.stderr
    assert lenient.stdout.splitlines()[1].startswith(f"not checked: {file}:2: providers.anthropic.keys[0]: ")
    file.write_text(file.read_text() + "retry: {attempts: many}\n")
    wrong = sluicegate("check", "--without-secrets", str(file), state=tmp_path)
    assert wrong.returncode == 2
    assert "retry.attempts" in wrong.stderr


def test_check_says_which_limits_are_in_force(tmp_path: Path) -> None:
    """With what follows from a default: how many requests of a rate may start at once."""
    file = tmp_path / "gate.yaml"
    file.write_text(
        "limits:\n  default: {rpm: 3, concurrency: 2}\n"
        "  teams: {a: {rpm: 600, burst: 20, tpm: 40000, budget_usd: {day: 5}, budget_tokens: {month: 9000}}}\n"
    )
    done = sluicegate("check", str(file), state=tmp_path)
    assert done.stdout.splitlines()[1:] == [
        "limits.default.rpm: 3 requests per minute, at most 3 at once",
        "limits.default.concurrency: 2 concurrent calls",
        "limits.teams.a.rpm: 600 requests per minute, at most 20 at once",
        "limits.teams.a.tpm: 40,000 tokens per minute, at most 40,000 at once",
        "limits.teams.a.budget_usd.day: $5.00 per day",
        "limits.teams.a.budget_tokens.month: 9,000 tokens per month",
    ]


def test_schema_is_the_published_one(tmp_path: Path) -> None:
    """`sluicegate schema` prints config/sluicegate.schema.json."""
    printed = sluicegate("schema", state=tmp_path).stdout
    assert json.loads(printed) == json.loads((ROOT / "config" / "sluicegate.schema.json").read_text())


def test_help_fits_eighty_columns_without_colour(tmp_path: Path) -> None:
    """Every command is listed."""
    printed = sluicegate("--help", state=tmp_path).stdout
    assert all(len(line) <= 80 for line in printed.splitlines())
    assert "\x1b" not in printed
    for command in ("run", "exec", "env", "check", "schema", "scrub", "selftest", "demo", "simulate"):
        assert f" {command} " in printed


def test_on_a_terminal_records_are_lines_for_people(tmp_path: Path) -> None:
    """Without a configuration and with somebody watching, a call is one short line; in a pipe it is JSON."""
    port = free_port()
    terminal, its_end = pty.openpty()
    environment = clean_env({"SLUICEGATE_STATE_DIR": str(tmp_path / "state"), "SLUICEGATE_CERTS": str(tmp_path / "certs")})
    command = [str(BIN / "sluicegate"), "run", "--reverse", str(port)]
    with subprocess.Popen(command, stdout=its_end, stderr=its_end, env=environment) as gate:
        os.close(its_end)
        try:
            shown = b""
            while b"is open" not in shown:
                shown += os.read(terminal, 4096)
            request("POST", f"http://127.0.0.1:{port}/v1/messages", body=b"x" * 33_000_000)  # refused here: over max_body
            while b"POST /v1/messages" not in shown and b"REFUSED" not in shown:
                shown += os.read(terminal, 4096)
        finally:
            gate.terminate()
            os.close(terminal)
    assert b"REFUSED POST /v1/messages 413" in shown
