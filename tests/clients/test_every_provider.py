"""Real SDKs on every kind of provider: each is simulated in its own wire format, and the client sees none of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol

import anthropic
import openai
import pytest

from kits.gatekit import Gate, Simulator, wait_until

CONFIG = """\
providers:
  anthropic: {kind: anthropic, base_url: "${UPSTREAM}", keys: ["env:KEY"]}
  openai:    {kind: openai, base_url: "${UPSTREAM}/v1", keys: ["env:KEY"]}
  bedrock:   {kind: bedrock, base_url: "${UPSTREAM}", region: us-west-2,
              credentials: {access_key: "env:KEY", secret_key: "env:KEY"}}
  vertex:    {kind: vertex, base_url: "${UPSTREAM}", project: p, location: us-east5, token: "env:KEY"}
routes:
  - {model: "at-anthropic", targets: [{provider: anthropic, model: claude-opus-4-1}]}
  - {model: "at-openai",    targets: [{provider: openai, model: gpt-5-mini}]}
  - {model: "at-bedrock",   targets: [{provider: bedrock, model: "us.anthropic.claude-opus-4-1-20250805-v1:0"}]}
  - {model: "at-vertex",    targets: [{provider: vertex, model: "claude-opus-4-1@20250805"}]}
retry: {attempts: 1}
audit: {log: "file:${STATE}/audit.jsonl"}
state_dir: "${STATE}"
"""
KINDS = ("anthropic", "openai", "bedrock", "vertex")
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

type Pair = tuple[Simulator, Gate]


class Client(Protocol):
    """What the suite asks of an SDK."""

    errors: type[Exception]

    def say(self, model: str, text: str) -> str: ...

    def stream(self, model: str, text: str) -> str: ...

    def look(self, model: str) -> str: ...

    def tools(self, model: str, *, stream: bool) -> tuple[list[dict[str, Any]], str]:
        """The inputs of the tools that were called, and what was said once each had answered `rain`."""
        ...


class AnthropicPy:
    errors = anthropic.BadRequestError

    def __init__(self, gate: Gate) -> None:
        self._create = anthropic.Anthropic(base_url=gate.url, api_key="k", max_retries=0, timeout=30).messages
        self._tool = {"name": "weather", "description": "The weather", "input_schema": CITY}

    def say(self, model: str, text: str) -> str:
        said = self._create.create(model=model, max_tokens=99, messages=[{"role": "user", "content": text}])
        assert said.usage.input_tokens > 0
        assert said.usage.output_tokens > 0
        return str(said.content[0].text)

    def stream(self, model: str, text: str) -> str:
        asked = {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": text}]}
        with self._create.stream(**asked) as stream:
            said = "".join(stream.text_stream)
            final = stream.get_final_message()
        assert final.stop_reason == "end_turn"
        assert final.usage.output_tokens > 0
        return said

    def look(self, model: str) -> str:
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
        content = [image, {"type": "text", "text": "what is it"}]
        said = self._create.create(model=model, max_tokens=99, messages=[{"role": "user", "content": content}])
        return str(said.content[0].text)

    def tools(self, model: str, *, stream: bool) -> tuple[list[dict[str, Any]], str]:
        turns: list[Any] = [{"role": "user", "content": "weather?"}]
        asked = {"model": model, "max_tokens": 200, "tools": [self._tool]}
        if stream:
            with self._create.stream(**asked, messages=turns) as running:
                first = running.get_final_message()
        else:
            first = self._create.create(**asked, messages=turns)
        assert first.stop_reason == "tool_use"
        uses = [block for block in first.content if block.type == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": use.id, "content": "rain"} for use in uses]
        turns += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
        second = self._create.create(**asked, messages=turns)
        return [use.input for use in uses], str(second.content[0].text)


class OpenAIPy:
    errors = openai.BadRequestError

    def __init__(self, gate: Gate) -> None:
        client = openai.OpenAI(base_url=f"{gate.url}/v1", api_key="k", max_retries=0, timeout=30)
        self._create = client.chat.completions.create
        self._tool = {"type": "function", "function": {"name": "weather", "parameters": CITY}}

    def say(self, model: str, text: str) -> str:
        said = self._create(model=model, messages=[{"role": "user", "content": text}])
        assert said.usage.total_tokens == said.usage.prompt_tokens + said.usage.completion_tokens > 0
        return str(said.choices[0].message.content)

    def stream(self, model: str, text: str) -> str:
        asked = {"model": model, "messages": [{"role": "user", "content": text}], "stream": True}
        chunks = list(self._create(**asked, stream_options={"include_usage": True}))
        assert chunks[-1].usage.completion_tokens > 0
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
        return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)

    def look(self, model: str) -> str:
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
        content = [image, {"type": "text", "text": "what is it"}]
        return str(self._create(model=model, messages=[{"role": "user", "content": content}]).choices[0].message.content)

    def tools(self, model: str, *, stream: bool) -> tuple[list[dict[str, Any]], str]:
        turns: list[Any] = [{"role": "user", "content": "weather?"}]
        asked = {"model": model, "tools": [self._tool]}
        calls = self._streamed(asked, turns) if stream else self._whole(asked, turns)
        assistant = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls]
        turns += [{"role": "assistant", "content": None, "tool_calls": assistant}]
        turns += [{"role": "tool", "tool_call_id": i, "content": "rain"} for i, _, _ in calls]
        second = self._create(**asked, messages=turns)
        return [json.loads(arguments) for _, _, arguments in calls], str(second.choices[0].message.content)

    def _whole(self, asked: Any, turns: list[Any]) -> list[tuple[str, str, str]]:
        choice = self._create(**asked, messages=turns).choices[0]
        assert choice.finish_reason == "tool_calls"
        return [(c.id, c.function.name, c.function.arguments) for c in choice.message.tool_calls]

    def _streamed(self, asked: Any, turns: list[Any]) -> list[tuple[str, str, str]]:
        calls: dict[int, list[str]] = {}
        for chunk in self._create(**asked, messages=turns, stream=True):
            for delta in chunk.choices[0].delta.tool_calls or () if chunk.choices else ():
                call = calls.setdefault(delta.index, [delta.id or "", delta.function.name or "", ""])
                call[2] += delta.function.arguments or ""
        return [(i, n, a) for i, n, a in (calls[k] for k in sorted(calls))]


@pytest.fixture(scope="module")
def module_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("sdks")
    with Simulator(folder / "sim") as sim, Gate(folder / "gate", upstream=sim.url, config=CONFIG, env={"KEY": "k"}) as gate:
        yield sim, gate


@pytest.fixture
def pair(module_pair: Pair) -> Pair:
    """With nothing of the test before."""
    sim, gate = module_pair
    sim.script([])
    sim.clear()
    return sim, gate


@pytest.fixture(params=[AnthropicPy, OpenAIPy])
def client(request: pytest.FixtureRequest, pair: Pair) -> Client:
    made: Client = request.param(pair[1])
    return made


def billed(pair: Pair, calls: int) -> None:
    """Each call has its record: usage as the simulator charged it, and a known cost."""
    sim, gate = pair
    mine = sim.calls(count=calls)
    charged = [call["output_tokens"] for call in mine]

    def records() -> list[dict[str, Any]]:
        return gate.audit_records()[-calls:]

    wait_until(lambda: [r["output_tokens"] for r in records()] == charged, f"records of {charged}")
    assert all(r["outcome"] == "ok" and r["cost_usd"] and r["input_tokens"] for r in records())


@pytest.mark.parametrize("kind", KINDS)
def test_hello(pair: Pair, client: Client, kind: str) -> None:
    """A line there and back, whole and streamed; both are billed as they were charged."""
    assert "you said 'hello'" in client.say(f"at-{kind}", "hello")
    assert "you said 'hello'" in client.stream(f"at-{kind}", "hello")
    billed(pair, 2)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("calls", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_tool_loop(pair: Pair, client: Client, kind: str, calls: int, stream: bool) -> None:
    """One tool or several at once are called with their inputs, and the results are used."""
    pair[0].script([{"tool": "weather", "parallel": calls}])
    inputs, said = client.tools(f"at-{kind}", stream=stream)
    assert len(inputs) == calls
    assert all(set(given) == {"city"} for given in inputs)
    assert "rain" in said
    billed(pair, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image(pair: Pair, client: Client, kind: str) -> None:
    """It arrives, byte for byte."""
    assert client.look(f"at-{kind}")
    (call,) = pair[0].calls()
    assert PIXEL in call["body"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_the_sdk_s_own(pair: Pair, client: Client, kind: str) -> None:
    """The provider's words arrive as the exception that the SDK has for them."""
    pair[0].script([{"status": 400, "error_type": "invalid_request_error", "error_message": "said upstream"}])
    with pytest.raises(client.errors, match="said upstream"):
        client.say(f"at-{kind}", "hello")


@pytest.mark.parametrize("kind", KINDS)
def test_openai_asks_for_a_schema(pair: Pair, kind: str) -> None:
    """response_format with a schema reaches every provider in its own words, and the document comes back."""
    sim, gate = pair
    sim.script([{"text": '{"city":"Ghent"}'}])
    client = openai.OpenAI(base_url=f"{gate.url}/v1", api_key="k", max_retries=0, timeout=30)
    schema = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
    said = client.chat.completions.create(
        model=f"at-{kind}", messages=[{"role": "user", "content": "where?"}], response_format=schema
    )
    assert json.loads(said.choices[0].message.content) == {"city": "Ghent"}
    (call,) = sim.calls()
    assert '"city"' in call["body"]
