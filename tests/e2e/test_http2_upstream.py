"""HTTP/2 upstreams that turn requests away: what they have begun is finished, what they have not is sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from kits.gatekit import Gate, Simulator
from kits.h2front import H2Front

CONFIG = """
providers: {{anthropic: {{kind: anthropic, http2: true, base_url: "{url}", keys: ["env:KEY"]}}}}
retry: {{attempts: 2, backoff: {{start_s: 0.01, max_s: 0.01}}}}
audit: {{log: "file:${{STATE}}/audit.jsonl"}}
"""
ASK = {"max_tokens": 40, "stream": True, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def front(simulator: Simulator, tmp_path: Path) -> Iterator[H2Front]:
    with H2Front(simulator.port, tmp_path / "front") as front:
        yield front


@pytest.fixture
def gate(front: H2Front, tmp_path: Path) -> Iterator[Gate]:
    trusted = {"ssl_verify_upstream_trusted_ca": str(front.ca)}
    env = {"KEY": "k", "SLUICEGATE__RETRY__ATTEMPTS": None}
    with Gate(tmp_path / "gate", config=CONFIG.format(url=front.url), options=trusted, env=env) as gate:
        yield gate


def client_of(gate: Gate) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=gate.url.replace("http:", "https:"), http2=True, verify=False, timeout=20)


async def test_a_server_that_leaves_finishes_its_streams(gate: Gate, front: H2Front) -> None:
    """A stream that is under way when the server takes its leave comes to its end; others get another connection."""
    slow = {**ASK, "model": "claude-x+events=40+delay_ms=20"}
    async with client_of(gate) as client, client.stream("POST", "/v1/messages", json=slow) as answer:
        begun = answer.aiter_bytes()
        first = await anext(begun)
        front.leave()
        others = [client.post("/v1/messages", json={**ASK, "model": "claude-y"}) for _ in range(3)]
        answers = await asyncio.gather(*others)
        rest = b"".join([chunk async for chunk in begun])
    assert b"message_stop" in first + rest
    assert b"event: error" not in first + rest
    assert all(b"message_stop" in a.content for a in answers)
    assert front.connections == 2


async def test_a_refused_stream_is_sent_again(gate: Gate, front: H2Front, simulator: Simulator) -> None:
    """At once, on the same connection, and told as an attempt."""
    async with client_of(gate) as client:
        front.refuse()
        answer = await client.post("/v1/messages", json={**ASK, "model": "claude-y"})
    assert b"message_stop" in answer.content
    assert answer.headers["x-sluicegate-attempts"] == "2"
    assert len(simulator.calls()) == 1
    assert front.connections == 1
