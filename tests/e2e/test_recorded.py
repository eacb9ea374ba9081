"""Real exchanges with real providers, replayed through the gate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from kits.gatekit import Gate
from kits.rawserver import (
    LAST_CHUNK,
    Asked,
    Client,
    Peer,
    Upstream,
    chunk,
    head,
)
from kits.recorded import Recording, recordings

NOT_OURS = {"content-length", "transfer-encoding", "connection"}
ALL = recordings()
pytestmark = pytest.mark.skipif(not ALL, reason="the recorded exchanges are not part of this checkout")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture(scope="module")
def gate(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with Gate(tmp_path_factory.mktemp("gate"), upstream=upstream.url) as gate:
        yield gate


@pytest.fixture(scope="module")
def open_gate(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """Without a configured provider: whatever a client speaks goes where the door points, as it is."""
    config = 'audit: {log: "file:${STATE}/audit.jsonl"}\n'
    with Gate(tmp_path_factory.mktemp("open"), upstream=upstream.url, config=config) as gate:
        yield gate


def answer_as_recorded(recording: Recording, cut: int) -> object:
    """A behaviour that gives the recorded answer, in chunks of `cut` bytes."""
    fields = {k: v for k, v in recording.headers.items() if k not in NOT_OURS}
    lines = "".join(f"{k}: {v}\r\n" for k, v in {**fields, "transfer-encoding": "chunked"}.items())

    def behave(peer: Peer, _: Asked) -> None:
        peer.send(f"HTTP/1.1 {recording.status} X\r\n{lines}\r\n".encode())
        for at in range(0, len(recording.body), cut):
            peer.send(chunk(recording.body[at : at + cut]))
        peer.send(LAST_CHUNK)

    return behave


@pytest.mark.parametrize("cut", [113, 1 << 20], ids=["in pieces", "whole"])
@pytest.mark.parametrize("recording", ALL, ids=lambda r: r.id[:40])
def test_bytes_are_unchanged_in_both_directions(
    gate: Gate, open_gate: Gate, upstream: Upstream, recording: Recording, cut: int
) -> None:
    """Whatever the provider and however it cuts its answer: the upstream's request and the client's answer are as sent."""
    upstream.forget()
    upstream.say(answer_as_recorded(recording, cut))  # type: ignore[arg-type]
    body = json.dumps(json.loads(recording.request)["body"], ensure_ascii=False, indent=1).encode()
    sent = head(recording.method, recording.target, {"content-length": str(len(body)), "x-api-key": "k"}) + body
    with Client((gate if recording.kind.startswith("anthropic") else open_gate).port) as client:
        client.send(sent)
        got = client.answer()
    assert got.complete
    assert (got.status, got.body) == (recording.status, recording.body)
    (asked,) = upstream.requests
    assert (asked.target, asked.body) == (recording.target, body)


def test_a_body_that_is_no_stream_passes(gate: Gate, upstream: Upstream) -> None:
    """Compressed without saying so, and called an event stream: not ours to judge, so it goes on as it is."""
    recording = next(r for r in ALL if "content-encoding" in r.headers)
    upstream.forget()
    mislabelled = replace(recording, headers={"content-type": "text/event-stream"})
    upstream.say(answer_as_recorded(mislabelled, 1000))  # type: ignore[arg-type]
    with Client(gate.port) as client:
        client.send(head("POST", recording.target, {"content-length": "2"}) + b"{}")
        got = client.answer()
    assert (got.complete, got.body) == (True, recording.body)


def test_usage_is_read_from_every_recorded_stream(gate: Gate, upstream: Upstream) -> None:
    """Model, tokens, stop reason and a price, for each Anthropic stream that ended well."""
    for recording in recordings("anthropic-sse"):
        upstream.forget()
        upstream.say(answer_as_recorded(recording, 1000))  # type: ignore[arg-type]
        body = json.dumps(json.loads(recording.request)["body"]).encode()
        before = len(gate.audit_records())
        with Client(gate.port) as client:
            client.send(head("POST", recording.target, {"content-length": str(len(body))}) + body)
            client.answer()
        record = gate.audit_records(count=before + 1)[-1]
        assert record["outcome"] == "ok", recording.id
        assert record["model_served"], recording.id
        assert record["output_tokens"], recording.id
        assert record["stop_reason"], recording.id
        assert record["cost_usd"], recording.id
