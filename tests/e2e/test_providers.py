"""Routes to every kind of provider, through the real gate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kits.everyprovider import CONFIG, ENV, MODELS
from kits.gatekit import (
    Answer,
    Gate,
    Simulator,
    request,
)
from sluicegate.core.messages.grammar import check_stream
from sluicegate.core.wire.eventstream import MessagesFromFrames
from sluicegate.core.wire.sse import SSEParser

type Pair = tuple[Simulator, Gate]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("providers")
    with Simulator(folder / "sim") as sim, Gate(folder / "gate", upstream=sim.url, config=CONFIG, env=ENV) as gate:
        yield sim, gate


def ask(gate: Gate, model: str, *, stream: bool = False, path: str = "/v1/messages") -> Answer:
    """A line of prompt in the Messages API's format."""
    body = {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    return gate.post(path, body, {"x-api-key": "sk-ant-api03-client", "anthropic-version": "2023-06-01"})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_each_provider(pair: Pair, name: str, stream: bool) -> None:
    """A client of the Messages API gets its own format from every kind, and the record says who served."""
    _, gate = pair
    before = len(gate.audit_records())
    answer = ask(gate, MODELS[name], stream=stream)
    assert answer.status == 200, answer.body
    if stream:
        events = SSEParser().feed(answer.body)
        assert check_stream(events) == []
        assert answer.headers["content-type"].startswith("text/event-stream")
    else:
        assert answer.json()["content"][0]["type"] == "text"
    record = gate.audit_records(count=before + 1)[-1]
    assert (record["provider"], record["model"], record["outcome"]) == (name, MODELS[name], "ok")
    assert record["input_tokens"]
    assert record["output_tokens"]
    assert record["stream"] is stream


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429}, {"fault": "error", "at": 0}, {"fault": "reset"}])
def test_failover_from_bedrock(pair: Pair, fault: dict[str, Any]) -> None:
    """What AWS says with a status, or in a stream's first frame, leads to the next target: here another region's."""
    sim, gate = pair
    sim.script([{**fault, "match": {"model": "us.anthropic.claude-opus-4-1*"}}])
    before = len(gate.audit_records())
    answer = ask(gate, "claude-opus-4-1", stream=True)
    assert answer.status == 200
    assert check_stream(SSEParser().feed(answer.body)) == []
    record = gate.audit_records(count=before + 1)[-1]
    assert len(record["attempts"]) == 1, record
    assert "us-east-1/bedrock" in next(v for k, v in sim.calls()[-1]["headers"] if k.lower() == "authorization")


def test_count_tokens(pair: Pair) -> None:
    """Every kind gives a count, its own or the gate's estimate."""
    _, gate = pair
    for name, model in MODELS.items():
        answer = ask(gate, model, path="/v1/messages/count_tokens")
        assert answer.status == 200, (name, answer.body)
        assert answer.json()["input_tokens"] >= 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_chat_clients(pair: Pair, name: str, stream: bool) -> None:
    """A client of Chat Completions is served by every kind, and recorded under the model that it asked for."""
    _, gate = pair
    body = {"model": MODELS[name], "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    before = len(gate.audit_records())
    answer = request("POST", gate.url + "/v1/chat/completions", body=body, headers={"authorization": "Bearer k"})
    assert answer.status == 200, answer.body
    if stream:
        assert answer.body.endswith(b"data: [DONE]\n\n")
    else:
        assert answer.json()["choices"][0]["message"]["content"]
    record = gate.audit_records(count=before + 1)[-1]
    assert (record["provider"], record["model"], record["outcome"]) == (name, MODELS[name], "ok")
    assert record["input_tokens"]


@pytest.mark.parametrize("name", ["local", "anthropic"])
def test_bedrock_clients(pair: Pair, name: str) -> None:
    """A client of Bedrock gets frames of a whole stream from providers that have none."""
    _, gate = pair
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    path = f"/model/{MODELS[name]}/invoke-with-response-stream"
    answer = request("POST", gate.url + path, body=body, headers={"x-api-key": "sk-ant-api03-k"})
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    frames = MessagesFromFrames(lambda n: n)
    assert check_stream(SSEParser().feed(frames.feed(answer.body) + frames.end())) == []
