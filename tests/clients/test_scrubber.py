"""Real clients at a gate that hides secrets: what they send is hidden, what they get is whole."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import anthropic
import pytest

from kits.clientkit import (
    API_KEY,
    CLIENT_TIMEOUT_S,
    HERE,
    cannot_run,
    run_program,
)
from kits.gatekit import GATE_SCRIPT, Gate, Simulator
from sluicegate.cli.selftest.plants import pem

CONFIG = """\
providers: {anthropic: {kind: anthropic, base_url: "${UPSTREAM}"}}
scrub: {mode: pseudonymize, rules: [basic, gitleaks]}
audit: {log: "file:${STATE}/audit.jsonl"}
"""
TOKEN = "ghp_" + "a1B2c3D4e5F6" * 3
KEY_BLOCK = pem(Random(5))
MODEL = "claude-opus-4-5"


@pytest.fixture
def hiding(tmp_path: Path, sim: Simulator) -> Iterator[Gate]:
    scripts = (GATE_SCRIPT, HERE / "stay_here.py")
    with Gate(tmp_path / "gate", upstream=sim.url, config=CONFIG, regular=True, scripts=scripts) as gate:
        yield gate


@pytest.fixture
def client(hiding: Gate) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=hiding.url, api_key=API_KEY, max_retries=0, timeout=30)


def never_saw(sim: Simulator, *secrets: str) -> None:
    """Not in any call, in no header, not a line of it."""
    seen = json.dumps([{k: call[k] for k in ("path", "query", "headers", "body")} for call in sim.calls()])
    for secret in secrets:
        for line in secret.splitlines():
            assert line not in seen or line.startswith("-----"), "the provider saw a secret"


def test_anthropic_py(client: anthropic.Anthropic, sim: Simulator) -> None:
    """JSON and stream: the SDK gets the real value back, the provider a placeholder."""
    said = f"my token is {TOKEN}, mail ann.smith@megacorp.com"
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": 500, "messages": [{"role": "user", "content": said}]}
    echo = {"x-sim": json.dumps({"echo": True, "chunk_bytes": 13})}
    message = client.messages.create(**asked, extra_headers=echo)
    assert message.content[0].text == said
    with client.messages.stream(**asked, extra_headers=echo) as stream:
        parts = list(stream.text_stream)
        final = stream.get_final_message()
    assert "".join(parts) == final.content[0].text == said
    never_saw(sim, TOKEN, "ann.smith@megacorp.com")
    bodies = [json.loads(call["body"]) for call in sim.calls()]
    assert all("<GITHUB_TOKEN_1>" in body["messages"][0]["content"] for body in bodies)


def test_anthropic_py_gets_the_input_of_its_tools(client: anthropic.Anthropic, sim: Simulator) -> None:
    """A streamed tool call, put together by the SDK: the value where the policy gives it, the name elsewhere."""
    for tool, expected in (("Write", TOKEN), ("mcp__web__post", "<GITHUB_TOKEN_1>")):
        sim.script([{"tool": tool, "tool_input": {"content": "{found}"}, "find": "<[A-Z_]+_1>", "chunk_bytes": 11}])
        messages: Any = [{"role": "user", "content": f"write {TOKEN}"}]
        tools: Any = [{"name": tool, "input_schema": {"type": "object"}}]
        with client.messages.stream(model=MODEL, max_tokens=500, messages=messages, tools=tools) as stream:
            assert stream.get_final_message().content[0].input == {"content": expected}
    never_saw(sim, TOKEN)


@pytest.mark.parametrize("door", ["reverse", "regular"])
@pytest.mark.parametrize(
    ("secret", "name", "kept"),
    [
        (TOKEN, "<GITHUB_TOKEN_1>", f"a = 1\nKEY={TOKEN}\nb = 2\n"),
        (KEY_BLOCK, "<PRIVATE_KEY_1>", f"a = 1\n{KEY_BLOCK}\nb = 2\n"),
    ],
    ids=["token", "private key"],
)
def test_claude_code_edits_a_file_with_a_secret(
    npm_clients: Path, hiding: Gate, sim: Simulator, tmp_path: Path, door: str, secret: str, name: str, kept: str
) -> None:
    """It reads the file and edits the line with the placeholder that the model saw: the file keeps its real value, and the
    provider never sees it."""
    program = npm_clients / "node_modules" / ".bin" / "claude"
    if not program.exists():
        cannot_run("Claude Code is not installed: run scripts/install-clients")
    for folder in ("home", "project"):
        (tmp_path / folder).mkdir()
    file = tmp_path / "project" / "settings.txt"
    file.write_text(kept)
    edit = {"file_path": str(file), "old_string": "{found}", "new_string": "{found}\nADDED=1"}
    stream = {"match": {"stream": True}}
    sim.script(
        [
            {"tool": "Read", "tool_input": {"file_path": str(file)}, **stream},
            {"tool": "Edit", "tool_input": edit, "find": name, "chunk_bytes": 17, **stream},
        ]
    )
    command = [str(program), "-p", "edit the file", "--allowedTools", "Read,Edit", "--permission-mode", "acceptEdits"]
    run_program(command, _environment(hiding, tmp_path, door), tmp_path / "project", CLIENT_TIMEOUT_S)
    assert file.read_text() == kept.replace(secret, f"{secret}\nADDED=1")
    never_saw(sim, secret)
    assert name in json.dumps([call["body"] for call in sim.calls()])
    assert sum(record["scrub"]["restored"] for record in hiding.audit_records() if record["scrub"]) >= 2


def _environment(gate: Gate, tmp_path: Path, door: str) -> dict[str, str]:
    fixed = {"IS_SANDBOX": "1", "DISABLE_TELEMETRY": "1", "DISABLE_AUTOUPDATER": "1"}
    quiet = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")}
    doors = {
        "reverse": {"ANTHROPIC_BASE_URL": gate.url},
        "regular": {"HTTPS_PROXY": gate.proxy_url, "NODE_EXTRA_CA_CERTS": str(gate.ca_cert)},
    }
    return {**fixed, **quiet, "ANTHROPIC_API_KEY": API_KEY, **doors[door]}
