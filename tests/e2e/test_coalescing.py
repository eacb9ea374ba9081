"""Identical requests at the same time make one upstream call, whichever client disconnects."""

from __future__ import annotations

import gzip
import json
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kits.gatekit import (
    BIN,
    Answer,
    Gate,
    Simulator,
    StartGate,
    request,
    wait_until,
)
from kits.rawserver import (
    MESSAGE,
    Asked,
    Client,
    Peer,
    Upstream,
    Web,
    post,
    reply,
)

CONFIG = """
providers: {anthropic: {kind: anthropic, base_url: "${UPSTREAM}"}}
cache: {mode: exact}
ping_s: 0
audit: {log: "file:${STATE}/audit.jsonl"}
"""
ASKED = [{"role": "user", "content": "the same"}]
BODY = {"model": "claude-haiku-4-5", "max_tokens": 60, "stream": True, "messages": ASKED}


@pytest.fixture
def gate(start_gate: StartGate) -> Gate:
    return start_gate(config=CONFIG)


@pytest.fixture
def fresh(gate: Gate, simulator: Simulator) -> Iterator[Simulator]:
    simulator.clear()
    yield simulator
    wait_until(lambda: gate.get("/stats").json()["run"]["active"] == 0, "the end of all exchanges")
    assert "crashed" not in gate.output()


HELD = {"first_byte_ms": 60_000}  # until the test lets it go on
HELD_MIDWAY = {"fault": "stall", "at": 4, "stall_s": 60}


def aboard(gate: Gate, count: int) -> None:
    """Wait until so many exchanges are under way."""
    wait_until(lambda: gate.get("/stats").json()["run"]["active"] == count, f"{count} exchanges under way")


def joined(gate: Gate, count: int) -> None:
    """Wait until so many exchanges have joined the call of another."""
    wait_until(lambda: gate.get("/stats").json()["run"]["following"] == count, f"{count} followers")


def leave(gate: Gate, client: Client) -> None:
    """Reset the connection, and let the gate see that before anything else happens: a later request is answered later."""
    client.reset()
    assert gate.get("/stats").json()["run"]["active"] >= 1


def ask(gate: Gate, **more: object) -> Answer:
    return request("POST", f"{gate.url}/v1/messages", body={**BODY, **more}, headers={"x-api-key": "k"}, timeout_s=60)


def test_two_hundred_identical_streams_are_one_call(gate: Gate, fresh: Simulator) -> None:
    """Each gets the same bytes; one is a MISS, the others cost nothing."""
    fresh.script([HELD])
    with ThreadPoolExecutor(200) as pool:
        asked = [pool.submit(ask, gate) for _ in range(200)]
        joined(gate, 199)
        fresh.release()
        answers = [a.result() for a in asked]
    assert len(fresh.calls()) == 1
    assert {a.status for a in answers} == {200}
    assert len({a.body for a in answers}) == 1
    assert "message_stop" in answers[0].text
    records = gate.audit_records(count=200)
    followers = [r for r in records if r["cache"] == "HIT-COALESCED"]
    assert len(followers) == 199
    assert all(r["cost_usd"] == 0 and r["saved_usd"] > 0 for r in followers)


def test_late_joiners_get_it_from_the_start(gate: Gate, fresh: Simulator) -> None:
    """Who comes in the middle gets what was before, and then the rest with the others."""
    fresh.script([HELD_MIDWAY])
    with Client(gate.port) as leader, ThreadPoolExecutor() as pool:
        leader.send(post("/v1/messages", BODY, {"x-api-key": "k", "connection": "close"}))
        leader.until(b"content_block_delta")
        asked = pool.submit(ask, gate)
        joined(gate, 1)
        fresh.release()
        late = asked.result()
        assert b"message_stop" in leader.rest()
    assert late.headers["x-sluicegate-cache"] == "HIT-COALESCED"
    again = ask(gate)
    assert again.headers["x-sluicegate-cache"] == "HIT"
    assert late.body == again.body
    assert len(fresh.calls()) == 1


def test_those_who_wait_for_the_beginning_get_pings(start_gate: StartGate, simulator: Simulator) -> None:
    """After ping_s a client that streams hears from us, whether it leads or follows; then it gets the answer."""
    gate = start_gate(config=CONFIG.replace("ping_s: 0", "ping_s: 0.2"))
    simulator.script([HELD])
    request_bytes = post("/v1/messages", BODY, {"x-api-key": "k", "connection": "close"})
    with Client(gate.port) as first, Client(gate.port) as second, Client(gate.port) as third:
        clients = (first, second, third)
        for client in clients:
            client.send(request_bytes)
        for client in clients:
            client.until(b"event: ping")
        simulator.release()
        assert all(b"message_stop" in client.rest() for client in clients)
    assert len(simulator.calls()) == 1


def test_a_leader_that_leaves_does_not_end_the_call(gate: Gate, fresh: Simulator) -> None:
    """The others get the whole answer; the call is charged to the one who made it."""
    fresh.script([HELD_MIDWAY])
    with Client(gate.port) as leader, ThreadPoolExecutor() as pool:
        leader.send(post("/v1/messages", BODY, {"x-api-key": "k"}))
        leader.until(b"content_block_delta")
        follower = pool.submit(ask, gate)
        joined(gate, 1)
        leave(gate, leader)
        fresh.release()
        answer = follower.result()
    assert "message_stop" in answer.text
    assert "event: error" not in answer.text
    assert len(fresh.calls()) == 1
    led = next(r for r in gate.audit_records(count=2) if r["cache"] == "MISS")
    assert (led["outcome"], led["output_tokens"] > 0, led["cost_usd"] > 0) == ("client_abort", True, True)
    assert ask(gate).headers["x-sluicegate-cache"] == "HIT"


def test_a_leader_that_leaves_before_the_answer_begins(gate: Gate, fresh: Simulator) -> None:
    """Even its retries go on for those who wait."""
    fresh.script([HELD])
    with Client(gate.port) as leader, ThreadPoolExecutor() as pool:
        leader.send(post("/v1/messages", {**BODY, "stream": False}, {"x-api-key": "k"}))
        fresh.calls(count=1)
        follower = pool.submit(ask, gate, stream=False)
        joined(gate, 1)
        leave(gate, leader)
        fresh.release()
        answer = follower.result()
    assert answer.json()["type"] == "message"
    assert len(fresh.calls()) == 1


def test_the_last_who_leaves_ends_the_call(gate: Gate, fresh: Simulator) -> None:
    """First the leader, then the one who followed: the upstream sees its call aborted."""
    fresh.script([HELD_MIDWAY])
    with Client(gate.port) as leader, Client(gate.port) as follower:
        leader.send(post("/v1/messages", BODY, {"x-api-key": "k"}))
        leader.until(b"content_block_delta")
        follower.send(post("/v1/messages", BODY, {"x-api-key": "k"}))
        follower.until(b"content_block_delta")
        leave(gate, leader)
        follower.reset()
        aboard(gate, 0)
    outcomes = sorted(r["outcome"] for r in gate.audit_records(count=2))
    assert "ok" not in outcomes


def test_a_failure_is_everybody_s(gate: Gate, fresh: Simulator) -> None:
    """The provider's error goes to all who asked, without a call for each; a stream that breaks, breaks for all."""
    fresh.script([{"status": 400, **HELD}])
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, gate, stream=False) for _ in range(8)]
        joined(gate, 7)
        fresh.release()
        answers = [a.result() for a in asked]
    assert {a.status for a in answers} == {400}
    assert len(fresh.calls()) == 1
    fresh.clear()
    fresh.script([{"fault": "reset", "at": 4, **HELD}])
    with Client(gate.port) as leader, Client(gate.port) as follower:
        leader.send(post("/v1/messages", BODY, {"x-api-key": "k"}))
        fresh.calls(count=1)
        follower.send(post("/v1/messages", BODY, {"x-api-key": "k"}))
        joined(gate, 1)
        fresh.release()
        ends = [leader.rest(), follower.rest()]
    assert all(b"event: error" in end for end in ends)
    assert len(fresh.calls()) == 1


def test_others_do_not_share(gate: Gate, fresh: Simulator) -> None:
    """Another credential, or another question: a call of its own."""
    fresh.script([{**HELD, "times": 3}])

    def as_somebody(key: str, text: str) -> Answer:
        body = {**BODY, "messages": [{"role": "user", "content": text}]}
        return request("POST", f"{gate.url}/v1/messages", body=body, headers={"x-api-key": key})

    with ThreadPoolExecutor(3) as pool:
        asked = [("a", "same"), ("b", "same"), ("a", "other")]
        going = [pool.submit(as_somebody, *who) for who in asked]
        fresh.release(3)
        answers = [a.result() for a in going]
    assert [a.headers["x-sluicegate-cache"] for a in answers] == ["MISS"] * 3
    assert len(fresh.calls()) == 3


def test_it_can_be_turned_off(start_gate: StartGate, simulator: Simulator) -> None:
    """coalesce: false: each makes its own call."""
    gate = start_gate(config=CONFIG.replace("mode: exact", "mode: exact, coalesce: false"))
    simulator.script([{**HELD, "times": 3}])
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask, gate) for _ in range(3)]
        simulator.calls(count=3)  # who comes after the first answer is answered from the cache
        simulator.release(3)
        assert [a.result().status for a in asked] == [200] * 3
    assert len(simulator.calls()) == 3


def test_off_at_run_time_is_off(gate: Gate, fresh: Simulator) -> None:
    """`sluicegate cache off`: from then on each makes its own call, too."""
    environment = gate.environment()
    command = [str(BIN / "sluicegate"), "cache", "off", "--config", str(gate.config_file)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    wait_until(lambda: ask(gate).headers["x-sluicegate-cache"] == "BYPASS", "the cache to be off")
    fresh.clear()
    fresh.script([{**HELD, "times": 3}])
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask, gate) for _ in range(3)]
        fresh.release(3)
        answers = [a.result() for a in asked]
    assert [a.headers["x-sluicegate-cache"] for a in answers] == ["BYPASS"] * 3
    assert len(fresh.calls()) == 3


def test_each_restores_its_own_secrets(start_gate: StartGate, simulator: Simulator) -> None:
    """Two requests that differ in their secrets only are the same call; each client gets its own secret back."""
    config = CONFIG + "scrub: {mode: pseudonymize}\n"
    gate = start_gate(config=config, env={"SLUICEGATE__PING_S": "0"})
    secrets = ["ghp_" + letter * 36 for letter in "ab"]
    simulator.script([{**HELD, "text": "you said <GITHUB_TOKEN_1>"}])

    def tell(secret: str) -> Answer:
        body = {**BODY, "messages": [{"role": "user", "content": f"my token is {secret}"}]}
        return request("POST", f"{gate.url}/v1/messages", body=body, headers={"x-api-key": "k"})

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(tell, secret) for secret in secrets]
        joined(gate, 1)
        simulator.release()
        answers = [a.result() for a in asked]
    assert len(simulator.calls()) == 1
    assert not any(secret in json.dumps(simulator.calls()) for secret in secrets)
    texts = [
        "".join(
            json.loads(line[6:])["delta"].get("text", "")
            for line in a.text.splitlines()
            if line.startswith("data: ") and "text_delta" in line
        )
        for a in answers
    ]
    assert texts == [f"you said {secret}" for secret in secrets]


@pytest.mark.parametrize("state", ["on", "down"])
def test_an_encoded_answer_is_decoded_for_those_who_follow(tmp_path: Path, state: str) -> None:
    """The provider encodes unasked, or the store is down: followers get a readable answer."""
    begin = threading.Event()

    def behave(peer: Peer, _: Asked) -> None:
        begin.wait(30)
        said = gzip.compress(json.dumps(MESSAGE).encode())
        peer.send(reply(body=said, headers={"content-encoding": "gzip"}))

    store = "redis://127.0.0.1:1" if state == "down" else "sqlite"
    with Upstream() as upstream, Gate(tmp_path, upstream=upstream.url, config=f"{CONFIG}store: {store}\n") as gate:
        upstream.say(behave)

        def ask_plainly(_: int) -> Answer:
            return request("POST", f"{gate.url}/v1/messages", body={**BODY, "stream": False}, headers={"x-api-key": "k"})

        with ThreadPoolExecutor(3) as pool:
            asked = [pool.submit(ask_plainly, n) for n in range(3)]
            joined(gate, 2)
            begin.set()
            answers = [a.result() for a in asked]
        assert len(upstream.requests) == 1
    for answer in answers:
        coded = answer.headers.get("content-encoding") == "gzip"
        assert json.loads(gzip.decompress(answer.body) if coded else answer.body) == MESSAGE
    assert [a.headers["x-sluicegate-cache"] for a in answers].count("HIT-COALESCED") == 2


def _together(gate: Gate, upstream: Upstream, count: int, answer: bytes) -> list[Answer]:
    """So many requests at a time; the answer comes when all of them wait for it."""
    begin = threading.Event()

    def behave(peer: Peer, _: Asked) -> None:
        begin.wait(30)
        peer.send(reply(body=answer))

    upstream.say(behave)
    with ThreadPoolExecutor(count) as pool:
        asked = [pool.submit(ask, gate, stream=False) for _ in range(count)]
        joined(gate, count - 1)
        begin.set()
        return [a.result() for a in asked]


def test_who_looks_at_flows_sees_what_followers_got(tmp_path: Path) -> None:
    """In mitmweb the flows of leader, followers and hits have the answer's body."""
    with Upstream() as upstream, Gate(tmp_path, upstream=upstream.url, config=CONFIG, program="mitmweb") as gate:
        answers = _together(gate, upstream, 3, json.dumps(MESSAGE).encode())
        assert {a.body for a in answers} == {json.dumps(MESSAGE).encode()}
        web = Web(gate.web_port)
        flows = [f for f in web.call("GET", "/flows").json() if f["request"]["path"] == "/v1/messages"]
        shown = [web.call("GET", f"/flows/{f['id']}/response/content.data").body for f in flows]
        assert shown == [json.dumps(MESSAGE).encode()] * 3


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell its memory so")
def test_nobody_keeps_what_nobody_looks_at(tmp_path: Path) -> None:
    """Many followers of a large answer: the gate does not hold a copy for each of them."""

    def most_mb(gate: Gate) -> int:
        status = Path(f"/proc/{gate.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024

    long = json.dumps({**MESSAGE, "content": [{"type": "text", "text": "x" * 6_000_000}]}).encode()
    with Upstream() as upstream, Gate(tmp_path, upstream=upstream.url, config=CONFIG) as gate:
        before = most_mb(gate)
        assert {a.body for a in _together(gate, upstream, 60, long)} == {long}
        assert most_mb(gate) - before < 200
