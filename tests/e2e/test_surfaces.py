"""Stages on every surface: what a client of another format gets, and what its provider sees, with the scrubber on."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from gatekit import Answer, Gate, Simulator, request, wait_until
from test_providers import CONFIG, ENV, MODELS

from sluicegate.core.dialects import bedrock, vertex
from sluicegate.core.eventstream import MessagesFromFrames
from sluicegate.core.grammar import check_stream
from sluicegate.core.sse import SSEParser

SECRET = "ghp_" + "a1B2c3D4e5F6" * 3
SAID = f"key {SECRET}, again {SECRET}."
SCRUB = """\
scrub: {mode: pseudonymize, key: "env:SCRUB_KEY", rules: [basic], style: angle, numbering: ranked}
"""
CLIENTS = ("messages", "chat", "bedrock", "vertex")

type Pair = tuple[Simulator, Gate]


@pytest.fixture(scope="module")
def module_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("surfaces")
    env = {**ENV, "SCRUB_KEY": "0123456789abcdef" * 4}
    with Simulator(folder / "sim") as sim, Gate(folder / "gate", upstream=sim.url, config=CONFIG + SCRUB, env=env) as gate:
        yield sim, gate


@pytest.fixture
def pair(module_pair: Pair) -> Pair:
    """With nothing of the test before."""
    sim, gate = module_pair
    sim.script([])
    sim.clear()
    return sim, gate


def ask(gate: Gate, client: str, model: str, text: str, *, stream: bool = False, counts: bool = False) -> Answer:
    """One line of prompt, in the client's own format."""
    body: dict[str, Any] = {"max_tokens": 4000, "messages": [{"role": "user", "content": text}]}
    match client:
        case "messages":
            path, body = "/v1/messages", {"model": model, "stream": stream, **body}
        case "chat":
            path, body = "/v1/chat/completions", {"model": model, "stream": stream, **body}
        case "bedrock":
            action: bedrock.Action = "invoke-with-response-stream" if stream else "invoke"
            path, body = bedrock.path_of(model, action), {"anthropic_version": bedrock.VERSION, **body}
        case _:
            path = vertex.path_of("p", "l", model, stream=stream)
            body = {"anthropic_version": vertex.VERSION, "stream": stream, **body}
    if counts:
        path, body = _counting(client, model, body)
    return request("POST", gate.url + path, body=body, headers={"x-api-key": "sk-ant-api03-client"})


def _counting(client: str, model: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    body.pop("stream", None)
    match client:
        case "messages":
            return "/v1/messages/count_tokens", body
        case "bedrock":
            inner = base64.b64encode(json.dumps(body).encode()).decode()
            return bedrock.path_of(model, "count-tokens"), {"input": {"invokeModel": {"body": inner}}}
    return vertex.path_of("p", "l", vertex.COUNT, stream=False), {"model": model, **body}


def text_of(client: str, answer: Answer, *, stream: bool) -> str:
    """What the model said, out of an answer that is well-formed in the client's format."""
    if client == "chat":
        if not stream:
            return str(answer.json()["choices"][0]["message"]["content"])
        assert answer.body.endswith(b"data: [DONE]\n\n")
        chunks = [json.loads(e.data) for e in SSEParser().feed(answer.body) if e.data != b"[DONE]"]
        return "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])
    if not stream:
        return "".join(block.get("text", "") for block in answer.json()["content"])
    body = answer.body
    if client == "bedrock":
        assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
        frames = MessagesFromFrames(lambda name: name)
        body = frames.feed(body) + frames.end()
    events = SSEParser().feed(body)
    assert check_stream(events) == []
    return "".join(json.loads(e.data).get("delta", {}).get("text") or "" for e in events)


def record_of(gate: Gate, answer: Answer) -> dict[str, Any]:
    """The audit record of an answer."""
    name = answer.headers["x-sluicegate-id"]
    return wait_until(lambda: next((r for r in gate.audit_records() if r["exchange"] == name), None), "its record")


def bodies(sim: Simulator) -> str:
    """All that the provider saw, what is wrapped up in base64 included."""
    seen = [call["body"] for call in sim.calls()]
    inner = [bedrock.counted_body(body.encode()) or b"" for body in seen]
    return " ".join([*seen, *(body.decode() for body in inner)])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_secret_there_and_back(pair: Pair, client: str, name: str, stream: bool) -> None:
    """Whatever the client and the provider speak: the provider never sees the value, the client gets it back."""
    sim, gate = pair
    sim.script([{"echo": True, "events": 20, "times": -1}])
    answer = ask(gate, client, MODELS[name], SAID, stream=stream)
    assert answer.status == 200, answer.body
    assert text_of(client, answer, stream=stream) == SAID
    assert "<GITHUB_TOKEN_1>" in bodies(sim)
    assert SECRET not in bodies(sim)
    record = record_of(gate, answer)
    assert (record["provider"], record["outcome"]) == (name, "ok")
    assert record["bytes_out"] == len(answer.body)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("client", ["messages", "bedrock", "vertex"])
def test_counting_hides_as_well(pair: Pair, client: str, name: str) -> None:
    """A count goes out without the secret, in whatever it is wrapped, and comes back in the client's format."""
    sim, gate = pair
    answer = ask(gate, client, MODELS[name], SAID, counts=True)
    assert answer.status == 200, answer.body
    assert answer.json()["inputTokens" if client == "bedrock" else "input_tokens"] > 0
    assert SECRET not in bodies(sim)
