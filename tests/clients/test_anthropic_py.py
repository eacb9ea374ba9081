"""The Anthropic SDK for Python, unmodified, by each door."""

import json

import anthropic
import pytest

from kits.clientkit import API_KEY, Door
from kits.gatekit import Simulator

MODEL = "claude-opus-4-5"
HELLO = [{"role": "user", "content": "hello"}]
WEATHER = {
    "name": "weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture(autouse=True)
def _by_the_door(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in door.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def client(_by_the_door: None) -> anthropic.Anthropic:
    return anthropic.Anthropic(max_retries=0, timeout=30)


def test_a_message_comes_back_and_the_credential_arrives(client: anthropic.Anthropic, sim: Simulator) -> None:
    """A plain call is answered, and upstream sees one call with the client's own key."""
    message = client.messages.create(model=MODEL, max_tokens=100, messages=HELLO)
    assert "you said 'hello'" in message.content[0].text
    assert message.usage.output_tokens > 0
    [call] = sim.calls()
    assert call["path"] == "/v1/messages"
    assert call["credential"] == API_KEY
    assert json.loads(call["body"])["messages"] == HELLO


async def test_the_async_client_works(sim: Simulator) -> None:
    """AsyncAnthropic gets the same answer, streamed and not."""
    async with anthropic.AsyncAnthropic(max_retries=0, timeout=30) as client:
        message = await client.messages.create(model=MODEL, max_tokens=100, messages=HELLO)
        async with client.messages.stream(model=MODEL, max_tokens=100, messages=HELLO) as stream:
            text = "".join([part async for part in stream.text_stream])
    assert text == message.content[0].text
    assert len(sim.calls()) == 2


def test_a_stream_has_the_events_of_the_answer(client: anthropic.Anthropic) -> None:
    """The SDK's accumulated message equals the text it streamed, and ends with a stop reason and usage."""
    with client.messages.stream(model=MODEL, max_tokens=100, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == final.content[0].text
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens > 0


def test_a_long_stream_loses_nothing(client: anthropic.Anthropic) -> None:
    """Three hundred deltas arrive, in order and whole."""
    asked = f"{MODEL}+events=300"
    with client.messages.stream(model=asked, max_tokens=4000, messages=HELLO) as stream:
        deltas = [event.delta.text for event in stream if event.type == "content_block_delta"]
        final = stream.get_final_message()
    assert len(deltas) == 300
    assert "".join(deltas) == final.content[0].text


def test_a_raw_response_shows_status_and_headers(client: anthropic.Anthropic) -> None:
    """with_raw_response gives upstream's request-id."""
    raw = client.messages.with_raw_response.create(model=MODEL, max_tokens=100, messages=HELLO)
    assert raw.status_code == 200
    assert raw.headers["request-id"]
    assert raw.parse().content[0].text


def test_count_tokens(client: anthropic.Anthropic) -> None:
    """Counting tokens works and gives a positive number."""
    assert client.messages.count_tokens(model=MODEL, messages=HELLO).input_tokens > 0


def test_models_are_listed(client: anthropic.Anthropic) -> None:
    """The list of models is not empty and names Claude models."""
    assert any(model.id.startswith("claude-") for model in client.models.list(limit=20))


def test_a_tool_use_and_its_result(client: anthropic.Anthropic) -> None:
    """A tool call comes back with its input, and the result that the client sends is used."""
    choice = {"type": "tool", "name": "weather"}
    first = client.messages.create(model=MODEL, max_tokens=200, messages=HELLO, tools=[WEATHER], tool_choice=choice)
    assert first.stop_reason == "tool_use"
    [use] = [block for block in first.content if block.type == "tool_use"]
    assert set(use.input) == {"city"}
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "rain in Ghent"}
    turns = [*HELLO, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = client.messages.create(model=MODEL, max_tokens=200, messages=turns, tools=[WEATHER])
    assert "rain in Ghent" in second.content[0].text


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "invalid_request_error", anthropic.BadRequestError),
        (401, "authentication_error", anthropic.AuthenticationError),
        (413, "request_too_large", anthropic.APIStatusError),
    ],
)
def test_an_upstream_error_arrives_as_the_sdk_s_own_exception(
    client: anthropic.Anthropic, sim: Simulator, status: int, kind: str, error: type[anthropic.APIStatusError]
) -> None:
    """Status, error type and message are upstream's, unchanged."""
    sim.script([{"status": status, "error_type": kind, "error_message": "said upstream", "times": -1}])
    with pytest.raises(error) as caught:
        client.messages.create(model=MODEL, max_tokens=100, messages=HELLO)
    assert caught.value.status_code == status
    assert caught.value.body["error"] == {"type": kind, "message": "said upstream"}


def test_an_error_in_the_middle_of_a_stream_is_an_exception(client: anthropic.Anthropic, sim: Simulator) -> None:
    """`event: error` after the first text ends the stream visibly."""
    sim.script([{"fault": "error", "at": 3, "events": 20, "times": -1}])
    with (
        pytest.raises(anthropic.APIError),
        client.messages.stream(model=MODEL, max_tokens=100, messages=HELLO) as stream,
    ):
        list(stream.text_stream)
