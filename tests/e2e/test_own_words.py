"""What the gate itself says, in the format of whoever asks: refusals, errors, the end of a broken stream, pings."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

import pytest

from kits.gatekit import (
    Answer,
    Gate,
    Simulator,
    free_port,
)
from kits.surfaceskit import ask, record_of, text_of
from sluicegate.core.wire.eventstream import FrameDecoder
from sluicegate.core.wire.sse import SSEParser

CONFIG = """\
providers:
  anthropic: {kind: anthropic, base_url: "${UPSTREAM}"}
  local:     {kind: openai, base_url: "${UPSTREAM}/v1", keys: ["env:KEY_B"]}
  aws:       {kind: bedrock, base_url: "${UPSTREAM}", region: us-west-2, keys: ["env:KEY_B"]}
  gone:      {kind: anthropic, base_url: "http://127.0.0.1:${NOBODY}"}
  keyless:   {kind: vertex, base_url: "${UPSTREAM}", project: p, location: l,
              credentials: {service_account: "${STATE}/no-such-account.json"}}
routes:
  - {model: "claude-opus-*",   targets: [{provider: aws}]}
  - {model: "claude-haiku-*",  targets: [{provider: local}]}
  - {model: "claude-sonnet-*", targets: [{provider: anthropic}]}
  - {model: "claude-gone-*",   targets: [{provider: gone}]}
  - {model: "claude-keyless-*", targets: [{provider: keyless}, {provider: local, model: llama}]}
  - {model: "claude-alone-*",  targets: [{provider: keyless}]}
  - {model: "claude-count-*",  targets: [{provider: anthropic}, {provider: local, model: llama}]}
translate: {unsupported: drop}
ping_s: 0.2
retry: {attempts: 3, backoff: {start_s: 0.05}, cooldown_s: 0}
timeouts: {idle_s: 5}
audit: {log: "file:${STATE}/audit.jsonl"}
state_dir: "${STATE}"
"""
SERVED = ("claude-opus-4-1", "claude-haiku-4-5", "claude-sonnet-4-5")
CLIENTS = ("messages", "chat", "bedrock", "vertex")

type Pair = tuple[Simulator, Gate]


@pytest.fixture(scope="module")
def module_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("words")
    env = {"KEY_B": "b", "NOBODY": str(free_port()), "SLUICEGATE__RETRY__ATTEMPTS": None}
    with Simulator(folder / "sim") as sim, Gate(folder / "gate", upstream=sim.url, config=CONFIG, env=env) as gate:
        yield sim, gate


@pytest.fixture
def pair(module_pair: Pair) -> Pair:
    """With nothing of the test before."""
    sim, gate = module_pair
    sim.script([])
    sim.clear()
    return sim, gate


def error_of(client: str, answer: Answer) -> str:
    """The message of an error, after a look at whether it is one of the client's own format."""
    value = answer.json()
    match client:
        case "chat":
            assert set(value) == {"error"}
            assert {"message", "type"} <= set(value["error"])
            return str(value["error"]["message"])
        case "bedrock":
            assert answer.headers["x-amzn-errortype"].endswith("Exception")
            assert set(value) == {"message"}
            return str(value["message"])
    assert value["type"] == "error"
    return str(value["error"]["message"])


@pytest.mark.parametrize("client", CLIENTS)
def test_a_refusal(pair: Pair, client: str) -> None:
    """A model that no route serves: 404 in the client's words, and nothing is sent."""
    sim, gate = pair
    answer = ask(gate, client, "nobody-serves-this", "hi")
    assert answer.status == 404
    assert "no route serves" in error_of(client, answer)
    assert sim.calls() == []


@pytest.mark.parametrize("client", CLIENTS)
def test_an_upstream_that_is_not_there(pair: Pair, client: str) -> None:
    """The proxy core's own error is in the client's words, too."""
    _, gate = pair
    answer = ask(gate, client, "claude-gone-1", "hi", stream=True)
    words = _last_words(client, answer)
    assert "cannot connect" in words
    assert words.endswith("connection refused")
    assert "Errno" not in words
    record = record_of(gate, answer)
    assert (record["status"], record["outcome"]) == (answer.status, "failed")


def _last_words(client: str, answer: Answer) -> str:
    """Of a refusal, or of a stream that a ping had begun."""
    return error_of(client, answer) if answer.status >= 400 else _end_of_stream(client, answer.body)


@pytest.mark.parametrize("name", SERVED)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_broken_stream_says_so(pair: Pair, client: str, name: str) -> None:
    """The upstream ends in the middle of a stream: the last that the client gets is an error in its own format."""
    sim, gate = pair
    sim.script([{"fault": "eof", "at": 6, "events": 20, "times": -1}])
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(gate, client, name, "hi", stream=True)
    assert _end_of_stream(client, caught.value.partial)


def _end_of_stream(client: str, body: bytes) -> str:
    if client == "bedrock":
        last = FrameDecoder().feed(body)[-1]
        assert last.text(":message-type") == "exception"
        return str(json.loads(last.payload)["message"])
    events = SSEParser().feed(body)
    if client == "chat":
        return str(json.loads(events[-1].data)["error"]["message"])
    assert events[-1].event == b"error"
    return str(json.loads(events[-1].data)["error"]["message"])


@pytest.mark.parametrize("name", SERVED)
@pytest.mark.parametrize("client", CLIENTS)
def test_pings_while_a_stream_is_silent(pair: Pair, client: str, name: str) -> None:
    """Messages and Vertex get events, Chat Completions comments, Bedrock nothing; the answer is whole, whatever came."""
    sim, gate = pair
    sim.script([{"fault": "stall", "at": 4, "stall_s": 1.0, "echo": True, "events": 8, "times": -1}])
    answer = ask(gate, client, name, "hello hello hello", stream=True)
    assert text_of(client, answer, stream=True) == "hello hello hello"
    pings = answer.body.count(b": ping\n\n" if client == "chat" else b"event: ping")
    assert pings >= 2 if client != "bedrock" else pings == 0


def test_what_was_dropped_is_told(pair: Pair) -> None:
    """In a header and in the record."""
    _, gate = pair
    body = {"model": "claude-haiku-4-5", "max_tokens": 9, "top_k": 3, "messages": [{"role": "user", "content": "hi"}]}
    answer = gate.post("/v1/messages", body, {"x-api-key": "k"})
    assert answer.status == 200, answer.body
    assert answer.headers["x-sluicegate-dropped"] == "top_k"
    assert record_of(gate, answer)["dropped"] == ["top_k"]
    assert "x-sluicegate-dropped" not in ask(gate, "messages", "claude-haiku-4-5", "hi").headers


def test_a_target_without_a_credential_is_passed_over(pair: Pair) -> None:
    """The next one serves; where there is none, the answer says why, and nothing is sent."""
    sim, gate = pair
    answer = ask(gate, "messages", "claude-keyless-1", "hi")
    assert answer.status == 200, answer.body
    record = record_of(gate, answer)
    assert record["provider"] == "local"
    assert [a["cause"] for a in record["attempts"]] == ["refused"]
    sim.clear()
    alone = ask(gate, "chat", "claude-alone-1", "hi")
    assert alone.status == 502
    assert "token" in error_of("chat", alone)
    assert sim.calls() == []


def test_a_count_that_fails_is_estimated(pair: Pair) -> None:
    """The next target can not count: the gate's guess is the answer, and says so."""
    sim, gate = pair
    sim.script([{"status": 529, "times": -1, "match": {"path": "/count_tokens"}}])
    answer = ask(gate, "messages", "claude-count-1", "hi", counts=True)
    assert answer.status == 200, answer.body
    assert answer.json()["input_tokens"] >= 1
    assert answer.headers["x-sluicegate-estimated"] == "true"
    assert len(sim.calls()) == 1
