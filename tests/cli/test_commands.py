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


def test_a_gate_that_listens_everywhere_names_addresses_that_clients_can_use(tmp_path: Path) -> None:
    """0.0.0.0 is no base URL; what it listens on is told beside it."""
    config = "audit: {log: 'off'}\n"
    with Gate(tmp_path, program="sluicegate", config=config, arguments=("--host", "0.0.0.0")) as gate:
        gate.wait_for_output("sluicegate is open")
        assert f"ANTHROPIC_BASE_URL=http://127.0.0.1:{gate.port}   (all addresses: 0.0.0.0:{gate.port})" in gate.output()


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


CALL = (
    "import json, os, urllib.request as u\n"
    "body = {'model': 'claude-haiku-4-5', 'max_tokens': 9, 'messages': [{'role': 'user', 'content': 'hi'}]}\n"
    "r = u.Request('https://api.anthropic.com/v1/messages', json.dumps(body).encode(), {'x-api-key': 'k'})\n"
    "print(json.load(u.urlopen(r, timeout=20))['type'], os.environ.get('no_proxy', '-'), os.environ['NO_PROXY'])\n"
)


@pytest.mark.parametrize("no_proxy", ["*", "api.anthropic.com", ".anthropic.com,localhost"])
def test_no_proxy_does_not_lead_past_the_gate(no_proxy: str, gate: Gate) -> None:
    """The call is served by the gate's provider; other entries stay; a line says what was taken out."""
    done = sluicegate("exec", "--", sys.executable, "-c", CALL, state=gate.state_dir, NO_PROXY=f"{no_proxy},a.example")
    kept = "localhost,a.example" if "localhost" in no_proxy else "a.example"
    assert (done.returncode, done.stdout.strip()) == (0, f"message - {kept}"), done.stderr
    assert f"left out of NO_PROXY for this client: {no_proxy.partition(',')[0]};" in done.stderr


def test_env_prints_what_is_left_of_no_proxy(gate: Gate) -> None:
    """For a shell and for Claude Code's settings; without an entry of a provider it is not mentioned."""
    printed = sluicegate("env", state=gate.state_dir, no_proxy="*").stdout
    assert "export no_proxy=''\n" in printed
    block = json.loads(sluicegate("env", "--settings", state=gate.state_dir, no_proxy="*,b.c").stdout)["env"]
    assert block["no_proxy"] == "b.c"
    assert "NO_PROXY" not in sluicegate("env", state=gate.state_dir, NO_PROXY="localhost").stdout


def test_the_key_of_a_client_is_its_proxy_password(gate: Gate) -> None:
    """Taken from a reference, and never written on the command line."""
    printed = sluicegate("env", "--key", "env:MY_KEY", state=gate.state_dir, MY_KEY="sg-1/2").stdout
    assert f"export HTTPS_PROXY=http://sluicegate:sg-1%2F2@127.0.0.1:{gate.proxy_port}\n" in printed
    for wrong in ("env:NOT_SET_HERE", "sg-1234"):
        done = sluicegate("env", "--key", wrong, state=gate.state_dir)
        assert done.returncode == 2
        assert done.stderr.startswith("sluicegate: --key: ")
        assert "sg-1234" not in done.stderr


def test_a_gate_with_a_state_folder_of_its_own_is_found(tmp_path: Path) -> None:
    """By env, exec, stats and monitor: without its configuration by the default state folder, with it in its own."""
    config = "state_dir: '${STATE}/elsewhere'\naudit: {log: 'off'}\n"
    gate = Gate(tmp_path / "gate", program="sluicegate", regular=True, config=config)
    with gate:
        proxy = f"export HTTPS_PROXY=http://127.0.0.1:{gate.proxy_port}\n"
        named = ("--config", str(gate.config_file))
        assert proxy in sluicegate("env", state=gate.state_dir).stdout
        assert json.loads(sluicegate("stats", "--json", state=gate.state_dir).stdout)["run"]["requests"] == 0
        other = tmp_path / "other"  # another default state folder, as another service or an unwritable home has
        assert proxy in sluicegate("env", *named, state=other, STATE=str(gate.state_dir)).stdout
        done = sluicegate("stats", *named, state=other, STATE=str(gate.state_dir))
        assert "requests" in done.stdout, done.stderr
        assert sluicegate("env", state=other).returncode == 2
    assert list(gate.state_dir.glob("**/run/*.json")) == []


def test_with_a_configuration_only_its_gate_is_found(gate: Gate, tmp_path: Path) -> None:
    """Not the newest one of the machine."""
    file = tmp_path / "other.yaml"
    file.write_text("audit: {log: 'off'}\n")
    done = sluicegate("stats", "--config", str(file), state=gate.state_dir)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"no gate is running with the configuration {file}" in done.stderr
    assert sluicegate("stats", "--config", str(gate.config_file), state=gate.state_dir).returncode == 0


def test_exec_warns_of_a_node_that_ignores_the_proxy(gate: Gate, tmp_path: Path) -> None:
    """And says what to do instead, with this gate's base URL."""
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho v20.11.0\n")
    node.chmod(0o755)
    done = sluicegate("exec", "--", str(node), state=gate.state_dir)
    assert (done.returncode, done.stdout) == (0, "v20.11.0\n")
    assert "Node 20.11 ignores HTTPS_PROXY" in done.stderr
    assert f"http://127.0.0.1:{gate.port}" in done.stderr


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


def test_run_refuses_one_port_for_two_doors(tmp_path: Path) -> None:
    """mitmweb's as well; it names both options."""
    port = str(free_port())
    for flags in (("--reverse", port, "--web", "--web-port", port), ("--reverse", port, "--regular", port)):
        done = sluicegate("run", *flags, state=tmp_path)
        assert done.returncode == 2
        assert (
            done.stderr == f"sluicegate: --reverse and {flags[-2]} are both port {port}; choose another with {flags[-2]}\n"
        )


@pytest.mark.parametrize("web", [(), ("--web", "--web-port")])
def test_a_start_that_fails_late_leaves_no_ca_and_says_why_once(web: tuple[str, ...], tmp_path: Path) -> None:
    """In the CA's folder and in mitmproxy's default one; the message has one prefix, the exit code is 2."""
    file = tmp_path / "gate.yaml"
    file.write_text(f"audit: {{log: 'file:{tmp_path}/gate.yaml/no-folder.jsonl'}}\n")
    home, certs = tmp_path / "home", tmp_path / "certs"
    home.mkdir()
    flags = ("--reverse", str(free_port()), *web, *([str(free_port())] if web else []))
    late = (("--config", str(file)), "cannot open"), (("--set", "proxy_debug=true"), "proxy_debug is not allowed")
    for arguments, why in late:
        done = sluicegate("run", *flags, *arguments, state=tmp_path / "s", HOME=str(home), SLUICEGATE_CERTS=str(certs))
        assert done.returncode == 2
        assert done.stderr.count("\n") == done.stderr.count("sluicegate: ") == 1, done.stderr
        assert done.stderr.startswith(f"sluicegate: {why}")
        assert not (home / ".mitmproxy").exists()
        assert list(certs.iterdir()) == []


def test_a_gate_needs_no_home_folder(tmp_path: Path) -> None:
    """With a good `state_dir` it starts, and is found by its configuration."""
    options: dict[str, str | None] = {"HOME": "/dev/null", "SLUICEGATE_STATE_DIR": None, "XDG_STATE_HOME": None}
    config = f"state_dir: '{tmp_path}/kept'\naudit: {{log: 'off'}}\n"
    with Gate(tmp_path / "gate", program="sluicegate", regular=True, config=config, env=options) as gate:
        done = sluicegate("env", "--config", str(gate.config_file), state=Path("/dev/null"))
        assert f"export HTTPS_PROXY=http://127.0.0.1:{gate.proxy_port}\n" in done.stdout, done.stderr


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
        "limits:\n  timezone: Europe/Berlin\n  default: {rpm: 3, concurrency: 2}\n"
        "  teams: {a: {rpm: 600, burst: 20, tpm: 40000, budget_usd: {day: 5}, budget_tokens: {month: 9000}}}\n"
    )
    done = sluicegate("check", str(file), state=tmp_path)
    assert done.stdout.splitlines()[1:] == [
        "limits.default.rpm: 3 requests per minute, at most 3 at once",
        "limits.default.concurrency: 2 concurrent calls",
        "limits.teams.a.rpm: 600 requests per minute, at most 20 at once",
        "limits.teams.a.tpm: 40,000 tokens per minute, at most 40,000 at once",
        "limits.teams.a.budget_usd.day: $5.00 per day (Europe/Berlin)",
        "limits.teams.a.budget_tokens.month: 9,000 tokens per month (Europe/Berlin)",
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
