"""The response cache in real processes: replays byte for byte, workers that share it, the switch, restarts."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kits.gatekit import (
    BIN,
    Answer,
    Gate,
    Simulator,
    StartGate,
    clean_env,
    request,
    wait_until,
)
from kits.rawserver import (
    LAST_CHUNK,
    Asked,
    Client,
    Peer,
    Upstream,
    chunk,
    head,
    reply,
)
from kits.recorded import Recording, recordings
from kits.rediskit import redis_server

CONFIG = """\
providers: {anthropic: {kind: anthropic, base_url: "${UPSTREAM}"}}
audit: {log: "file:${STATE}/audit.jsonl"}
state_dir: "${STATE}"
cache: {mode: normalized}
"""
ASK = {"model": "claude-haiku-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "hello"}]}
KEY = {"x-api-key": "k"}
NOT_OURS = {"content-length", "transfer-encoding", "connection", "content-encoding"}
ALL = [r for r in recordings("anthropic") if r.status == 200 and "content-encoding" not in r.headers]


def label(answer: Answer) -> str | None:
    return answer.headers.get("x-sluicegate-cache")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture(scope="module")
def caching(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with Gate(tmp_path_factory.mktemp("gate"), upstream=upstream.url, config=CONFIG) as gate:
        yield gate


def in_pieces(recording: Recording, rng: random.Random) -> Any:
    """A behaviour that gives the recorded answer, cut anywhere."""
    fields = {k: v for k, v in recording.headers.items() if k not in NOT_OURS}
    lines = "".join(f"{k}: {v}\r\n" for k, v in {**fields, "transfer-encoding": "chunked"}.items())

    def behave(peer: Peer, _: Asked) -> None:
        peer.send(f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode())
        at = 0
        while at < len(recording.body):
            size = rng.choice((1, 7, 100, 5000))
            peer.send(chunk(recording.body[at : at + size]))
            at += size
        peer.send(LAST_CHUNK)

    return behave


def plain(recording: Recording) -> dict[str, Any]:
    """A request that the recorded answer can be an answer to: same surface, model and way, nothing stateful about it."""
    asked = json.loads(recording.request)["body"]
    said = next((json.loads(line[5:]) for line in recording.body.splitlines() if line.startswith(b"data:")), None)
    message = said["message"] if said else json.loads(recording.body)
    model = message.get("model") or asked.get("model")
    return {"model": model, "stream": said is not None, "messages": [{"role": "user", "content": recording.id}]}


@pytest.mark.skipif(not ALL, reason="the recorded exchanges are not part of this checkout")
@pytest.mark.parametrize("recording", ALL, ids=lambda r: r.id[:40])
def test_every_recording_is_replayed_byte_for_byte(caching: Gate, upstream: Upstream, recording: Recording) -> None:
    """However it was cut when it came: the replay has the same bytes and content type, and nothing is sent."""
    upstream.forget()
    upstream.say(in_pieces(recording, random.Random(recording.id)))
    body = json.dumps(plain(recording)).encode()
    path = recording.target.partition("?")[0]
    asked = head("POST", path, {"content-length": str(len(body)), **KEY}) + body
    for expected in ("MISS", "HIT", "HIT"):
        with Client(caching.port) as client:
            client.send(asked)
            got = client.answer()
        assert got.complete
        fields = {k.lower(): v for k, v in got.headers}
        assert fields["x-sluicegate-cache"] == expected
        assert (got.status, got.body) == (200, recording.body)
        assert fields["content-type"] == recording.headers["content-type"]
    assert len(upstream.requests) == 1


def test_requests_that_come_in_one_piece_are_answered_one_by_one(caching: Gate, upstream: Upstream) -> None:
    """However many stand in one segment: each gets its answer, in order; what follows them on the connection, too."""
    upstream.forget()
    content = [{"type": "text", "text": "as often as you like"}]
    answer = {"type": "message", "model": ASK["model"], "stop_reason": "end_turn", "content": content}
    answer["usage"] = {"input_tokens": 1}
    said = json.dumps(answer).encode()
    upstream.say(lambda peer, _: peer.send(reply(200, said, {"content-type": "application/json"})))
    body = json.dumps({**ASK, "messages": [{"role": "user", "content": "again and again"}]}).encode()
    asked = head("POST", "/v1/messages", {"content-length": str(len(body)), **KEY}) + body
    with Client(caching.port) as client:
        for count in (1, 400, 1):
            client.send(asked * count)
            for _ in range(count):
                got = client.answer()
                assert (got.status, got.body) == (200, said)
    assert len(upstream.requests) == 1


def test_a_hit_survives_a_restart_and_so_do_the_savings(
    simulator: Simulator, start_gate: StartGate, tmp_path: Path
) -> None:
    """Kept on disk; /stats counts all time; the record says what was saved."""
    state = {"STATE": str(tmp_path / "shared")}
    with_state = {"config": CONFIG, "env": state}
    first = start_gate(**with_state)
    assert label(first.post("/v1/messages", ASK, KEY)) == "MISS"
    assert label(first.post("/v1/messages", ASK, KEY)) == "HIT"
    saved = first.get("/stats").json()["run"]["cache"]
    assert saved["saved_tokens"] > 0
    first.stop()
    second = start_gate(**with_state)
    seen = second.get("/stats").json()["run"]["cache"]
    assert (seen["saved_tokens"], seen["all_time"]["saved_tokens"]) == (0, saved["saved_tokens"])
    answer = second.post("/v1/messages", ASK, KEY)
    assert label(answer) == "HIT"
    assert len(simulator.calls()) == 1
    record = second.audit_records(file=tmp_path / "shared" / "audit.jsonl", count=3)[-1]
    assert (record["cache"], record["cost_usd"], record["saved_tokens"]) == ("HIT", 0.0, saved["saved_tokens"])


def test_two_gates_share_one_cache(simulator: Simulator, start_gate: StartGate, tmp_path: Path) -> None:
    """What one has stored the other finds within a second; `sluicegate cache off` reaches both."""
    state = str(tmp_path / "shared")
    one, two = (start_gate(config=CONFIG, env={"STATE": state}) for _ in range(2))
    assert label(two.post("/v1/messages", {**ASK, "max_tokens": 5}, KEY)) == "MISS"
    assert label(one.post("/v1/messages", ASK, KEY)) == "MISS"
    only = {**KEY, "x-sluicegate-cache": "only-if-cached"}
    wait_until(lambda: label(two.post("/v1/messages", ASK, only)) == "HIT", "a hit")
    switch("off", two, state)
    for gate in (one, two):
        wait_until(lambda g=gate: label(g.post("/v1/messages", ASK, KEY)) == "BYPASS", "the cache to be off")  # type: ignore[misc]
    switch("on", two, state)
    for gate in (one, two):
        wait_until(lambda g=gate: label(g.post("/v1/messages", ASK, KEY)) == "HIT", "the cache to be on")  # type: ignore[misc]


def switch(word: str, gate: Gate, state: str) -> None:
    import subprocess

    environment = clean_env({"STATE": state, "UPSTREAM": gate.upstream})
    command = [str(BIN / "sluicegate"), "cache", word, "--config", str(gate.config_file)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)


def test_two_gates_share_a_redis_until_it_goes_away(simulator: Simulator, start_gate: StartGate, tmp_path: Path) -> None:
    """A real one. Without it requests are served from upstream, at once but for the first, and an alarm is raised."""
    with redis_server(tmp_path) as redis:
        config = CONFIG + f'store: "{redis.url}"\n'
        one, two = (start_gate(config=config) for _ in range(2))
        assert label(one.post("/v1/messages", ASK, KEY)) == "MISS"
        only = {**KEY, "x-sluicegate-cache": "only-if-cached"}
        wait_until(lambda: label(two.post("/v1/messages", ASK, only)) == "HIT", "a hit")
        wait_until(lambda: one.get("/stats").json()["run"]["cache"]["all_time"]["hits"] == 1, "the hit to be counted")
        redis.stop()
        answers = [two.post("/v1/messages", {**ASK, "max_tokens": n}, KEY) for n in (5, 6, 7)]
    assert [(a.status, label(a)) for a in answers] == [(200, "BYPASS")] * 3
    assert two.get("/stats").json()["alarms"] == {"cache.store": 1}


def test_an_interrupted_stream_is_not_kept(simulator: Simulator, start_gate: StartGate) -> None:
    """An error in it: the next one asks again, and the one after that gets the whole answer."""
    gate = start_gate(config=CONFIG)
    body = {**ASK, "stream": True}
    simulator.script([{"fault": "error"}])
    first = gate.post("/v1/messages", body, KEY)
    second = gate.post("/v1/messages", body, KEY)
    third = gate.post("/v1/messages", body, KEY)
    assert [label(a) for a in (first, second, third)] == ["MISS", "MISS", "HIT"]
    assert second.body == third.body
    assert b"message_stop" in third.body


def test_the_pace_of_a_recording(simulator: Simulator, start_gate: StartGate) -> None:
    """With `pace` a stream comes in pieces again; its bytes are the same."""
    gate = start_gate(config=CONFIG.replace("normalized}", "normalized, pace: 0.5}"))
    body = {**ASK, "stream": True}
    headers = {**KEY, "x-sim": "events=5;delay_ms=20"}
    first, second = (gate.post("/v1/messages", body, headers) for _ in range(2))
    assert (label(first), label(second)) == ("MISS", "HIT")
    assert first.body == second.body
    assert "content-length" not in second.headers


def test_the_cache_alone(simulator: Simulator, start_gate: StartGate) -> None:
    """`mitmdump -s addons/cache.py`: the stage without the others."""
    from kits.gatekit import ROOT

    gate = start_gate(config=CONFIG, scripts=(ROOT / "addons" / "cache.py",))
    answers = [gate.post("/v1/messages", ASK, KEY) for _ in range(2)]
    assert [label(a) for a in answers] == ["MISS", "HIT"]
    assert answers[0].body == answers[1].body
    assert len(simulator.calls()) == 1


SURFACES = """
providers:
  anthropic: {kind: anthropic, base_url: "${UPSTREAM}"}
  local:     {kind: openai, base_url: "${UPSTREAM}/v1", keys: ["env:KEY_B"]}
routes:
  - {model: "claude-haiku-*", targets: [{provider: local, model: "llama-3.3-70b"}]}
  - {model: "*", targets: [{provider: anthropic}]}
cache: {mode: exact}
audit: {log: "file:${STATE}/audit.jsonl"}
"""


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "model"), [
    ("/v1/chat/completions", "claude-sonnet-4-5"),
    ("/v1/chat/completions", "claude-haiku-4-5"),
    ("/v1/messages", "claude-haiku-4-5"),
])  # fmt: skip
def test_hits_on_every_surface(start_gate: StartGate, simulator: Simulator, path: str, model: str, stream: bool) -> None:
    """Whatever client and provider speak: the second time costs nothing, and says the same in the client's format."""
    gate = start_gate(config=SURFACES, env={"KEY_B": "b"})
    body = {"model": model, "max_tokens": 50, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    answers = [request("POST", gate.url + path, body=body, headers={"x-api-key": "k"}) for _ in range(2)]
    assert [a.status for a in answers] == [200, 200]
    assert [a.headers["x-sluicegate-cache"] for a in answers] == ["MISS", "HIT"]
    assert len(simulator.calls()) == 1
    mark = "data: [DONE]" if stream and "chat" in path else "message_stop" if stream else "usage"
    assert all(mark in a.text for a in answers)
    assert "Hello" in answers[1].text
    record = gate.audit_records(count=2)[1]
    assert (record["cost_usd"], record["saved_tokens"] > 0) == (0, True)
