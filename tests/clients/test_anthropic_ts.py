"""The Anthropic SDK for TypeScript, unmodified, on Node, by each door."""

from kits.clientkit import API_KEY, RunNode
from kits.gatekit import Simulator


def test_a_message_comes_back_and_the_credential_arrives(node: RunNode, sim: Simulator) -> None:
    """A plain call is answered, and upstream sees one call with the client's own key."""
    message = node("sdk.mjs", "message")
    assert "you said 'hello'" in message["content"][0]["text"]
    [call] = sim.calls()
    assert call["credential"] == API_KEY


def test_a_stream_loses_nothing(node: RunNode) -> None:
    """A hundred deltas arrive, in order and whole."""
    got = node("sdk.mjs", "stream")
    assert got["deltas"] == 100
    assert got["text"] == got["final"]["content"][0]["text"]
    assert got["final"]["stop_reason"] == "end_turn"


def test_a_raw_response_shows_status_and_headers(node: RunNode) -> None:
    """withResponse gives upstream's request-id."""
    got = node("sdk.mjs", "raw")
    assert got["status"] == 200
    assert got["requestId"]


def test_count_tokens(node: RunNode) -> None:
    """Counting tokens works and gives a positive number."""
    assert node("sdk.mjs", "count")["input_tokens"] > 0


def test_models_are_listed(node: RunNode) -> None:
    """The list of models is not empty and names Claude models."""
    assert any(model.startswith("claude-") for model in node("sdk.mjs", "models"))


def test_a_tool_use_and_its_result(node: RunNode) -> None:
    """A tool call comes back with its input, and the result that the client sends is used."""
    got = node("sdk.mjs", "tool")
    assert got["first"]["stop_reason"] == "tool_use"
    assert "rain in Ghent" in got["second"]["content"][0]["text"]


def test_an_upstream_error_arrives_as_the_sdk_s_own_exception(node: RunNode, sim: Simulator) -> None:
    """Status, error type and message are upstream's, unchanged."""
    sim.script([{"status": 400, "error_type": "invalid_request_error", "error_message": "said upstream"}])
    got = node("sdk.mjs", "error")
    assert got["name"] == "BadRequestError"
    assert got["status"] == 400
    assert got["body"]["error"] == {"type": "invalid_request_error", "message": "said upstream"}
