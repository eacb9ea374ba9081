from typing import Any

import pytest

TOOLS: list[dict[str, Any]] = [
    {"name": "Read", "input_schema": {"type": "object", "properties": {}, "required": []}},
    {"name": "Bash", "input_schema": {"type": "object"}},
]
PICKY = {
    "name": "Pick",
    "input_schema": {
        "type": "object",
        "required": ["kind", "count", "flags", "on", "name"],
        "properties": {
            "kind": {"enum": ["a", "b"]},
            "count": {"type": "integer"},
            "flags": {"type": "array"},
            "on": {"type": "boolean"},
            "name": {"type": "string"},
            "rest": {"type": "string"},
        },
    },
}


def user(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


def test_the_same_request_gets_the_same_answer(client) -> None:
    """Nothing but the request decides: ids, text and usage repeat."""
    assert client.ask().json == client.ask().json
    assert client.ask(**user("a")).json["id"] != client.ask(**user("b")).json["id"]


def test_the_greeting_quotes_the_user(client) -> None:
    """The default reply says that it is the simulator's, and to what."""
    assert client.ask(**user("good day")).text == "Hello from the simulator: you said 'good day'."


@pytest.mark.parametrize("stream", [False, True])
def test_knobs_shape_the_text(client, stream) -> None:
    """text, echo and length, in both forms of answer."""
    assert client.ask("text=abc", stream=stream).text == "abc"
    assert client.ask("echo=1", stream=stream, **user("say <S_1> whole")).text == "say <S_1> whole"
    assert len(client.ask("length=1234", stream=stream).text) == 1234
    assert len(client.ask("huge_mb=1", stream=stream).text) == 1 << 20


def test_max_tokens_and_stop_sequences_end_the_text(client) -> None:
    """The API's own reasons to stop."""
    short = client.ask(max_tokens=2).json
    assert (short["stop_reason"], short["usage"]["output_tokens"]) == ("max_tokens", 2)
    stopped = client.ask(stop_sequences=["the", "you"]).json
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", "the")
    assert stopped["content"][0]["text"] == "Hello from "


def test_answer_model_stop_reason_and_usage_can_be_told(client) -> None:
    """Knobs outrank what the simulator would say."""
    told = client.ask('{"answer_model":"claude-z","stop_reason":"refusal","usage":{"input_tokens":7}}').json
    assert (told["model"], told["stop_reason"], told["usage"]["input_tokens"]) == ("claude-z", "refusal", 7)


@pytest.mark.parametrize(
    ("content", "knobs", "fields", "name"),
    [
        ("please run the tool", "", {}, "Bash"),
        ("use a tool now", "", {}, "Bash"),
        ("hello", "", {}, None),
        ("<system-reminder>a tool</system-reminder>hello", "", {}, None),
        ([{"type": "text", "text": "run the tool"}, {"type": "text", "text": "no"}], "", {}, None),
        ("hello", "tool=Read", {}, "Read"),
        ("hello", "", {"tool_choice": {"type": "any"}}, "Read"),
        ("hello", "", {"tool_choice": {"type": "tool", "name": "Read"}}, "Read"),
        ("run the tool", "", {"tool_choice": {"type": "none"}}, None),
        ("run the tool", "", {"tools": TOOLS[:1]}, "Read"),
        ("run the tool", "", {"tools": []}, None),
    ],
)
def test_when_a_tool_is_called(client, content, knobs, fields, name) -> None:
    """By knob, by tool_choice, or because the user's own words ask for it."""
    message = client.ask(knobs, **({"tools": TOOLS} | user(content) | fields)).json
    called = [block["name"] for block in message["content"] if block["type"] == "tool_use"]
    assert called == ([name] if name else [])
    assert message["stop_reason"] == ("tool_use" if name else "end_turn")


def test_a_tool_is_called_with_what_another_one_gave(client) -> None:
    """`find` takes a stretch of the tool's result, or else of the user's words, into tool_input, at any depth."""
    told = '{"tool":"Read","tool_input":{"a":["{found}!"]},"find":"k=[0-9]+"}'
    assert client.ask(told, tools=TOOLS, **user("k=12 k=3")).json["content"][0]["input"] == {"a": ["k=12!"]}
    use = {"type": "tool_use", "id": "t", "name": "Read", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "it says k=77"}
    turns = [
        {"role": "user", "content": "k=1"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    assert client.ask(told, tools=TOOLS, messages=turns).json["content"][0]["input"] == {"a": ["k=77!"]}


def test_tool_input_fits_the_schema_or_is_told(client) -> None:
    """Required properties get a value of their type; tool_input says it outright."""
    block = client.ask("tool=Pick", tools=[PICKY]).json["content"][0]
    assert block["input"] == {"kind": "a", "count": 1, "flags": [], "on": True, "name": "simulated"}
    told = client.ask('{"tool":"Pick","tool_input":{"x":1},"parallel":2}', tools=[PICKY]).json["content"]
    assert [block["input"] for block in told] == [{"x": 1}, {"x": 1}]
    assert told[0]["id"] != told[1]["id"]


@pytest.mark.parametrize("result", ["ran fine", [{"type": "text", "text": "ran fine"}]])
def test_a_tool_result_ends_the_loop(client, result) -> None:
    """The turn after a tool's result is text that quotes it."""
    call = client.ask(tools=TOOLS, **user("run the tool")).json["content"][0]
    assert call["input"]["command"] == "echo sluicegate-tool-ran"
    answer = {"type": "tool_result", "tool_use_id": call["id"], "content": result}
    turns = [
        {"role": "user", "content": "run the tool"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [answer]},
    ]
    assert "the tool said 'ran fine'" in client.ask(tools=TOOLS, messages=turns).text
