"""SIGTERM: the gate stops accepting, lets calls end, and tells those that do not."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kits.gatekit import (
    PASS_THROUGH,
    Gate,
    Simulator,
    StartGate,
    wait_until,
)
from kits.rawserver import (
    ASK,
    ASK_STREAM,
    Client,
    head,
    post,
)


def draining(drain_s: float) -> str:
    """A configuration that lets calls take so long to end."""
    return PASS_THROUGH + f"timeouts: {{drain_s: {drain_s}}}\n"


@pytest.fixture(params=["mitmdump", "sluicegate"])
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def terminate(gate: Gate) -> None:
    os.kill(gate.pid, signal.SIGTERM)


def refuses_connections(gate: Gate) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", gate.port)) != 0


@contextmanager
def a_stream(gate: Gate) -> Iterator[Client]:
    """A client in the middle of a streamed answer."""
    with Client(gate.port) as client:
        client.send(post("/v1/messages", ASK_STREAM))
        client.until(b"message_start")
        yield client


def test_a_gate_at_rest_ends_at_once(start_gate: StartGate, program: str) -> None:
    """With nothing under way there is nothing to wait for, however long drain_s is."""
    gate = start_gate(config=draining(3600), program=program)
    assert gate.stop() == 0


def test_a_stream_under_way_is_finished(start_gate: StartGate, simulator: Simulator, program: str) -> None:
    """New connections are refused, /ready says 503 on an open one, the stream ends well, and then the process does."""
    simulator.script([{"fault": "stall", "at": 3, "stall_s": 60}])
    gate = start_gate(config=draining(60), program=program)
    with Client(gate.port) as idle, a_stream(gate) as client:
        idle.send(head("GET", "/ready"))
        assert idle.answer().status == 200
        terminate(gate)
        wait_until(lambda: refuses_connections(gate), "the port closed")
        idle.send(head("GET", "/ready"))
        assert idle.answer().status == 503
        idle.send(post("/v1/messages", ASK))
        turned_away = idle.answer()
        assert turned_away.status == 503
        assert "the gate is shutting down; try again" in turned_away.json()["error"]["message"]
        assert turned_away.one("connection") == "close"
        simulator.release()
        rest = client.rest()
    assert b"message_stop" in rest
    assert b"event: error" not in rest
    wait_until(lambda: not gate.running, "the end of the process")
    assert gate.child.returncode == 0
    assert [r["outcome"] for r in records(gate)] == ["refused", "ok"]


def test_what_does_not_end_is_told(start_gate: StartGate, simulator: Simulator, program: str) -> None:
    """After drain_s: `event: error` in a stream, a native 503 for one that waits for its answer; then the end."""
    simulator.script([{"fault": "stall", "at": 3, "stall_s": 60}, {"fault": "stall", "at": "start", "stall_s": 60}])
    gate = start_gate(config=draining(0.3), program=program)
    with a_stream(gate) as streaming, Client(gate.port) as waiting:
        waiting.send(post("/v1/messages", ASK))
        simulator.calls(count=2)
        terminate(gate)
        answer = waiting.answer()
        rest = streaming.rest()
    assert answer.status == 503
    assert "the gate is shutting down; try again" in answer.json()["error"]["message"]
    assert b"event: error" in rest
    assert b"the gate is shutting down; try again" in rest
    wait_until(lambda: not gate.running, "the end of the process")
    assert gate.child.returncode == 0


def test_one_that_waits_for_another_attempt_is_told(start_gate: StartGate, simulator: Simulator) -> None:
    """A call in its backoff gets a native 503, too."""
    simulator.script([{"status": 529, "times": 9}])
    config = draining(0.2) + "retry: {attempts: 4, backoff: {start_s: 30, max_s: 30}}\n"
    gate = start_gate(config=config, env={"SLUICEGATE__RETRY__ATTEMPTS": None})
    with Client(gate.port) as waiting:
        waiting.send(post("/v1/messages", ASK))
        simulator.calls(count=1)
        terminate(gate)
        assert waiting.answer().status == 503
    wait_until(lambda: not gate.running, "the end of the process")


def test_a_second_signal_ends_it_at_once(start_gate: StartGate, simulator: Simulator) -> None:
    """Who asks twice means it."""
    simulator.script([{"fault": "stall", "at": 3, "stall_s": 60}])
    gate = start_gate(config=draining(3600))
    with a_stream(gate):
        terminate(gate)
        wait_until(lambda: refuses_connections(gate), "the port closed")
        assert gate.running
        terminate(gate)
        wait_until(lambda: not gate.running, "the end of the process")


def records(gate: Gate) -> list[dict[str, object]]:
    lines = (gate.state_dir / "audit.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
