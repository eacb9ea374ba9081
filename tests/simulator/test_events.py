import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.simulator.events import split

TOOLS = [{"name": "Bash", "input_schema": {"type": "object"}}]


def names(response) -> list[str]:
    return [name for name, _ in response.events if name != "ping"]


def test_a_text_stream_follows_the_grammar(client) -> None:
    """start, block start, deltas, block stop, message delta, stop; one ping; the text is the JSON answer's."""
    streamed = client.ask("events=7", stream=True)
    assert streamed.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert names(streamed) == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 7,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert all(data["type"] == name for name, data in streamed.events)
    assert sum(name == "ping" for name, _ in streamed.events) == 1


def test_usage_stands_in_start_and_delta(client) -> None:
    """message_start has the whole input usage, message_delta the cumulative output."""
    events = client.ask(stream=True).events
    start = events[0][1]["message"]
    assert start["content"] == []
    assert start["usage"] == {
        "input_tokens": 1,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 1,
        "service_tier": "standard",
    }
    assert events[-2][1]["usage"]["output_tokens"] == client.ask().json["usage"]["output_tokens"]
    assert events[-2][1]["delta"]["stop_reason"] == "end_turn"


def test_tool_input_comes_in_pieces(client) -> None:
    """input_json_delta starts empty and adds up to the input."""
    events = client.ask("tool=Bash", stream=True, tools=TOOLS).events
    start = next(data["content_block"] for name, data in events if name == "content_block_start")
    assert (start["type"], start["name"], start["input"]) == ("tool_use", "Bash", {})
    pieces = [data["delta"]["partial_json"] for name, data in events if name == "content_block_delta"]
    assert len(pieces) == 5
    assert pieces[0] == ""
    assert json.loads("".join(pieces))["command"] == "echo sluicegate-tool-ran"


def test_thinking_comes_first_and_ends_with_its_signature(client) -> None:
    """Block 0 is the thinking; its last delta is the signature."""
    events = client.ask("thinking=1", stream=True).events
    deltas = [data["delta"]["type"] for name, data in events if name == "content_block_delta" and data["index"] == 0]
    assert deltas == ["thinking_delta"] * 3 + ["signature_delta"]


def test_a_request_may_turn_thinking_on(client) -> None:
    """Enabled thinking in the request gives a thinking block; the knob outranks it."""
    thinking = {"type": "enabled", "budget_tokens": 1024}
    assert client.ask(thinking=thinking).json["content"][0]["type"] == "thinking"
    assert client.ask("thinking=0", thinking=thinking).json["content"][0]["type"] == "text"


@pytest.mark.parametrize("pings", [0, 3])
def test_extra_pings(client, pings) -> None:
    """`pings` adds to the one that is always there."""
    assert sum(name == "ping" for name, _ in client.ask(f"pings={pings}", stream=True).events) == 1 + pings


@given(st.text(max_size=50), st.integers(0, 60))
def test_split_loses_nothing(text: str, pieces: int) -> None:
    """The parts are as many as asked for, where there is text enough, none empty, and add up."""
    parts = list(split(text, pieces))
    assert "".join(parts) == (text if pieces else "")
    assert len(parts) == min(pieces, len(text))
    assert all(parts)
