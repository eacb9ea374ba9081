"""Claude Code, unmodified, by each door."""

import json
from typing import Any

from clientkit import API_KEY, Door, RunClaude
from gatekit import Simulator

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
