"""Claude Code, unmodified, by each door."""

import json
from pathlib import Path
from typing import Any

import pytest

from kits.clientkit import API_KEY, Door, RunClaude
from kits.gatekit import Gate, Simulator

RAN = "sluicegate-tool-ran"


def inference_calls(sim: Simulator) -> list[dict[str, Any]]:
    return [call for call in sim.calls() if call["method"] == "POST" and call["path"] == "/v1/messages"]


def test_hello(claude: RunClaude, sim: Simulator) -> None:
    """One line of prompt gets its answer, by a request that carries the client's own key and beta flags."""
    assert "Hello from the simulator" in claude("hello")
    calls = inference_calls(sim)
    assert calls
    assert {call["credential"] for call in calls} == {API_KEY}
    assert any(name.lower() == "anthropic-beta" for name, _ in calls[0]["headers"])


def test_a_tool_loop(claude: RunClaude, sim: Simulator) -> None:
    """Claude Code runs the tool that the model asks for and sends back what it printed."""
    assert RAN in claude("use the Bash tool", "--allowedTools", "Bash")
    calls = inference_calls(sim)
    assert len(calls) >= 2
    blocks = [block for message in json.loads(calls[-1]["body"])["messages"] for block in _blocks(message)]
    assert any(block["type"] == "tool_result" and RAN in json.dumps(block) for block in blocks)


def test_its_own_result_report_counts_the_tokens(claude: RunClaude, sim: Simulator) -> None:
    """The usage that Claude Code reports is what upstream charged: no call is lost or sent twice."""
    report = json.loads(claude("hello", "--output-format", "json"))
    assert report["is_error"] is False
    charged = sum(call["output_tokens"] for call in inference_calls(sim))
    reported = sum(model["outputTokens"] for model in report["modelUsage"].values())
    assert reported == charged


def test_a_passing_overload_is_not_seen(claude: RunClaude, sim: Simulator, door: Door) -> None:
    """One 529 before the answer costs a retry, not the answer."""
    sim.script([{"status": 529, "error_type": "overloaded_error"}])
    assert "Hello from the simulator" in claude("hello"), door.name
    assert 529 in [call["status"] for call in inference_calls(sim)]


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


FAILING = """
providers:
  first:  {{kind: anthropic, base_url: "{first}", keys: ["env:KEY_1"]}}
  second: {{kind: anthropic, base_url: "{second}", keys: ["env:KEY_2"]}}
routes: [{{model: "*", targets: [{{provider: first}}, {{provider: second}}]}}]
retry: {{attempts: 3, backoff: {{start_s: 0.05}}, cooldown_s: 0}}
timeouts: {{first_byte_s: 1}}
audit: {{log: "file:${{STATE}}/audit.jsonl"}}
"""


@pytest.mark.parametrize("door", ["reverse"], indirect=True)
def test_a_tool_loop_while_the_first_target_fails(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """It answers 529, resets, and stalls before its first byte in turn: no turn is lost, and each is billed once."""
    with Simulator(tmp_path / "first", name="first") as first, Simulator(tmp_path / "second", name="second") as second:
        config = FAILING.format(first=first.url, second=second.url)
        keys = {"KEY_1": "key-one", "KEY_2": "key-two", "SLUICEGATE__RETRY__ATTEMPTS": None}
        with Gate(tmp_path / "gate", upstream=first.url, config=config, env=keys) as gate:
            monkeypatch.setitem(door.environment, "ANTHROPIC_BASE_URL", gate.url)  # type: ignore[arg-type]
            claude: RunClaude = request.getfixturevalue("claude")
            turn = [{"status": 529}, {"fault": "reset"}, {"fault": "stall", "at": "start", "stall_s": 30}]
            first.script(turn * 20)
            report = json.loads(claude("use the Bash tool", "--allowedTools", "Bash", "--output-format", "json"))
            records = gate.audit_records()
        assert report["is_error"] is False
        assert RAN in report["result"]
        served = [call for call in inference_calls(second) if call["status"] == 200]
        turns = [r for r in records if r["surface"] == "messages"]
        assert len(served) == len(turns) >= 2
        assert all(r["outcome"] == "ok" and r["attempts"] for r in turns)
        causes = {a["cause"] for r in turns for a in r["attempts"]}
        assert causes <= {"status", "reset", "stale", "first_byte"}
        assert len(causes) >= 2
        charged = sum(call["output_tokens"] for call in (*inference_calls(first), *inference_calls(second)))
        assert sum(model["outputTokens"] for model in report["modelUsage"].values()) == charged


FOREIGN = """
providers:
  openai:  {{kind: openai, base_url: "{sim}/v1", keys: ["env:KEY"]}}
  bedrock: {{kind: bedrock, base_url: "{sim}", region: us-west-2,
             credentials: {{access_key: "env:KEY", secret_key: "env:KEY"}}}}
routes: [{{model: "*", targets: [{{provider: {kind}, model: "{model}"}}]}}]
audit: {{log: "file:${{STATE}}/audit.jsonl"}}
"""


@pytest.mark.parametrize("door", ["reverse"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "model"), [("openai", "gpt-5-mini"), ("bedrock", "us.anthropic.claude-opus-4-1-20250805-v1:0")]
)
def test_a_tool_loop_on_another_provider(
    kind: str, model: str, door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Behind the gate stands a provider of another format: the tool runs, and each turn is billed as it was charged."""
    with Simulator(tmp_path / "other", name="other") as sim:
        config = FOREIGN.format(sim=sim.url, kind=kind, model=model)
        with Gate(tmp_path / "gate", upstream=sim.url, config=config, env={"KEY": "k"}) as gate:
            monkeypatch.setitem(door.environment, "ANTHROPIC_BASE_URL", gate.url)  # type: ignore[arg-type]
            claude: RunClaude = request.getfixturevalue("claude")
            report = json.loads(claude("use the Bash tool", "--allowedTools", "Bash", "--output-format", "json"))
            records = [r for r in gate.audit_records() if r["surface"] == "messages"]
        calls = [call for call in sim.calls() if call["method"] == "POST" and call["output_tokens"]]
        assert report["is_error"] is False
        assert RAN in report["result"]
        assert len(records) >= 2
        assert all(r["outcome"] == "ok" and r["provider"] == kind and r["cost_usd"] for r in records), records
        assert sorted(r["output_tokens"] for r in records) == sorted(call["output_tokens"] for call in calls)
        assert not any("x-anthropic-billing-header" in call["body"] for call in calls)
