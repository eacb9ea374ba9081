"""Limits and budgets through the real gate: what clients see, what is charged, what happens when the store goes."""

import asyncio
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kits.gatekit import (
    Answer,
    Gate,
    Simulator,
    request,
    wait_until,
)
from kits.rediskit import RedisServer, need_redis_server
from sluicegate.core.limits.counters import Counter
from sluicegate.core.limits.rules import NANO
from sluicegate.stores.limits import storage_from_url

type StartGate = Callable[..., Gate]

TEAMS = """\
providers: {anthropic: {kind: anthropic, base_url: "${UPSTREAM}", keys: ["env:KEY_A1"]}}
identity:
  mode: keys
  keys:
    - {key: "env:KEY_TEAM_A", team: a, tags: {cost_center: "4711"}}
    - {key: "env:KEY_TEAM_B", team: b}
limits:
  default: {rpm: 600, burst: 200, concurrency: 50}
  teams:
    a: {rpm: 5}
    b: {budget_usd: {day: 0.05}, models: ["claude-haiku-*", "claude-sonnet-*"]}
  when_store_down: open
audit: {log: "file:${STATE}/audit.jsonl"}
store: "${STORE:-sqlite}"
"""
KEYS = {"KEY_A1": "sk-ant-api03-provider", "KEY_TEAM_A": "sk-sg-team-a-0123456789", "KEY_TEAM_B": "sk-sg-team-b-0123456789"}
ALONE = """\
providers: {anthropic: {kind: anthropic, base_url: "${UPSTREAM}"}}
limits: {LIMITS}
audit: {log: "file:${STATE}/audit.jsonl"}
store: "${STORE:-sqlite}"
"""
MODEL = "claude-haiku-4-5"


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    need_redis_server()
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture(params=["memory", "sqlite", "redis"])
def store(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("redis_server").url if request.param == "redis" else request.param)


def ask(gate: Gate, key: str = "", model: str = MODEL, text: str = "hi", **body: Any) -> Answer:
    messages = [{"role": "user", "content": text}]
    headers = {"x-api-key": KEYS.get(key, "sk-ant-api03-client"), "anthropic-version": "2023-06-01"}
    return gate.post("/v1/messages", {"model": model, "max_tokens": 64, "messages": messages, **body}, headers)


def alone(limits: str) -> str:
    return ALONE.replace("{LIMITS}", limits)


def test_teams(start_gate: StartGate, store: str) -> None:
    """Each team has its own: one's rate, the other's models and budget; the refusals are native and say what to do."""
    gate = start_gate(config=TEAMS, env={**KEYS, "STORE": store})
    answers = [ask(gate, "KEY_TEAM_A") for _ in range(6)]
    assert [a.status for a in answers] == [200] * 5 + [429]
    assert answers[4].headers["anthropic-ratelimit-requests-remaining"] == "0"
    error = answers[5].json()["error"]
    assert error["type"] == "rate_limit_error"
    assert "the team a has reached its limit of 5 requests per minute (limits.teams.a.rpm)" in error["message"]
    assert 1 <= int(answers[5].headers["retry-after"]) <= 12
    assert answers[5].headers["x-should-retry"] == "true"

    assert ask(gate, "KEY_TEAM_B").status == 200
    forbidden = ask(gate, "KEY_TEAM_B", "claude-opus-4-1")
    assert (forbidden.status, forbidden.json()["error"]["type"]) == (403, "permission_error")
    spent = [ask(gate, "KEY_TEAM_B", "claude-sonnet-4-5", "x" * 40_000, max_tokens=1024) for _ in range(3)]
    assert [a.status for a in spent] == [200, 402, 402]
    error = spent[1].json()["error"]
    assert error["type"] == "billing_error"
    assert "of its budget of $0.0500 for this day (limits.teams.b.budget_usd.day)" in error["message"]
    records = gate.audit_records(11)
    assert [r["limit"] for r in records if r["outcome"] == "refused"] == [
        "limits.teams.a.rpm",
        "limits.teams.b.models",
        *["limits.teams.b.budget_usd.day"] * 2,
    ]


BUDGET = """\
providers: {anthropic: {kind: anthropic, base_url: "${UPSTREAM}", keys: ["env:KEY_A1"]}}
identity: {mode: keys, keys: [{key: "env:KEY_TEAM_A", team: a}]}
limits: {teams: {a: {concurrency: 30, budget_usd: {month: 5}}}}
audit: {log: "file:${STATE}/audit.jsonl"}
store: "${STORE:-sqlite}"
"""


def usage(gate: Gate, url: str) -> tuple[int, int]:
    """The usage of team a's budget, in nano-USD, and its running calls; the gate is stopped first."""
    gate.stop()
    usd = Counter("team:a:usd:month", "", "", "budget", "nano_usd", 5 * NANO, window="month")
    calls = Counter("team:a:concurrency", "", "", "concurrency", "concurrency", 30)

    async def peek() -> tuple[int, int]:
        store = storage_from_url(url, gate.state_dir)
        levels = await store.peek((usd, calls))
        await store.close()
        return levels[0].used, levels[1].used

    return asyncio.run(peek())


def billed(simulator: Simulator) -> int:
    bill: float = request("GET", f"{simulator.url}/_sim/bill").json()["cost_usd"]
    return round(bill * NANO)


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_what_is_spent_is_what_the_provider_bills(
    start_gate: StartGate, simulator: Simulator, kind: str, request: pytest.FixtureRequest
) -> None:
    """Sixty calls, twenty at a time, JSON and streams: to the billionth of a dollar, and no concurrency stays reserved."""
    store = str(request.getfixturevalue("redis_server").url if kind == "redis" else kind)
    gate = start_gate(config=BUDGET, env={**KEYS, "STORE": store})
    with ThreadPoolExecutor(20) as pool:
        calls = pool.map(lambda n: ask(gate, "KEY_TEAM_A", text=f"call {n}" * n, stream=n % 2 == 0), range(60))
        assert {a.status for a in calls} == {200}
    gate.audit_records(60)
    assert usage(gate, store) == (billed(simulator), 0)


def end_of_answer(connection: http.client.HTTPConnection, n: int) -> int:
    """Ask for a stream, JSON or something that the provider refuses; return the status once the end can be seen."""
    wanted = {"stream": n // 2 % 2 == 0, "messages": [{"role": "user", "content": f"call {n}"}]}
    body = json.dumps({"model": MODEL, "max_tokens": 64, **wanted})
    headers = {"x-api-key": "sk-ant-api03-client", "anthropic-version": "2023-06-01", "content-type": "application/json"}
    connection.request("POST", "/v1/messages", body, headers)
    answer = connection.getresponse()
    if "event-stream" in (answer.headers["content-type"] or ""):
        while b'"message_stop"' not in (line := answer.readline()) and line:
            pass
    else:
        answer.read()
    return answer.status


@pytest.mark.parametrize("shared", ["sqlite", "redis"])
def test_a_client_that_keeps_to_its_concurrency_is_never_refused(
    start_gate: StartGate, request: pytest.FixtureRequest, tmp_path: Path, shared: str
) -> None:
    """One call after another, each to the other gate as soon as the last answer's end can be seen: all are admitted."""
    url = f"sqlite:///{tmp_path}/shared.sqlite"
    if shared == "redis":
        url = request.getfixturevalue("redis_server").url
    gates = [start_gate(config=alone("{default: {concurrency: 1}}"), env={"STORE": url}) for _ in range(2)]
    connections = [http.client.HTTPConnection("127.0.0.1", gates[n % 2].port, timeout=10) for n in range(80)]
    for connection in connections:
        connection.connect()
    statuses = [end_of_answer(connection, n) for n, connection in enumerate(connections)]
    for connection in connections:
        connection.close()
    assert statuses == [200] * 80


def test_an_aborted_stream_is_charged(start_gate: StartGate, simulator: Simulator) -> None:
    """The client hangs up in the middle: its concurrency is released, and the output that may exist is charged."""
    simulator.script([{"events": 50, "delay_ms": 200, "length": 5000}])
    gate = start_gate(config=BUDGET, env=KEYS)
    client = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=10)
    body = {"model": MODEL, "max_tokens": 64, "stream": True, "messages": [{"role": "user", "content": "x" * 400}]}
    client.request("POST", "/v1/messages", json.dumps(body), {"x-api-key": KEYS["KEY_TEAM_A"]})
    assert client.getresponse().read(20)
    client.close()
    (record,) = gate.audit_records(1)
    assert record["outcome"] == "client_abort"
    read = record["input_tokens"]
    assert usage(gate, "sqlite") == (read * 1_000 + 64 * 5_000, 0)  # the first answer ever: as reserved, up to max_tokens


def test_a_store_in_a_file_is_shared_and_outlives_the_gate(start_gate: StartGate, tmp_path: Path) -> None:
    """Two gates on one file spend one budget; what they spent is still spent after a restart."""
    config = BUDGET.replace("budget_usd: {month: 5}", "budget_tokens: {month: 2000}")
    env = {**KEYS, "STORE": f"sqlite:///{tmp_path}/shared.sqlite"}
    first, second = start_gate(config=config, env=env), start_gate(config=config, env=env)

    def insist(n: int) -> int:
        """Until it is served or the budget is spent: 429 says that running calls hold the rest."""
        gate = first if n % 2 else second
        return wait_until(lambda: (status := ask(gate, "KEY_TEAM_A", text=f"call {n}").status) != 429 and status, "a place")

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(insist, range(150))) == {200, 402}
    served = [r for gate in (first, second) for r in gate.audit_records() if r["status"] == 200]
    used = sum(r["input_tokens"] + r["output_tokens"] for r in served)
    assert 1800 <= used <= 2000 + 8 * 64
    first.stop()
    again = start_gate(config=config, env=env)
    assert ask(again, "KEY_TEAM_A", text="x" * 2000).status == 402


@pytest.mark.parametrize("policy", ["open", "closed"])
def test_redis_goes_and_comes_back(start_gate: StartGate, redis_server: RedisServer, policy: str) -> None:
    """Calls go on, or are refused with a 503 that says why; an alarm either way; with the store back it is used again."""
    gate = start_gate(
        config=alone(f"{{default: {{budget_tokens: {{month: 100000}}}}, when_store_down: {policy}}}"),
        env={"STORE": redis_server.url},
    )
    stop = threading.Event()
    statuses: list[int] = []

    def client() -> None:
        while not stop.is_set():
            statuses.append(ask(gate).status)

    threads = [threading.Thread(target=client) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: statuses.count(200) > 10, "calls are served")
        redis_server.stop()
        wait_until(lambda: gate.get("/stats").json()["alarms"].get("limits.store_down"), "the alarm")
        if policy == "closed":
            wait_until(lambda: 503 in statuses, "calls are refused")
            answer = wait_until(lambda: (a := ask(gate)).status == 503 and a, "a refusal")
            assert answer
            assert answer.headers["x-should-retry"] == "true"
            assert "limits.when_store_down" in answer.json()["error"]["message"]
        else:
            seen = len(statuses)
            wait_until(lambda: len(statuses) > seen + 10, "calls go on")
        redis_server.start()
        wait_until(lambda: "limits.store_back" in gate.output(), "the store is used again")
        seen = len(statuses)
        wait_until(lambda: len(statuses) > seen + 10, "calls go on")
        assert statuses[-5:] == [200] * 5
        assert gate.get("/stats").json()["alarms"]["limits.store_emptied"] == 1  # it keeps nothing on disk
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(statuses) == ({200} if policy == "open" else {200, 503})


def test_a_call_waits_for_a_place(start_gate: StartGate) -> None:
    """With queue_s, more calls than the limit are all served, one after the other."""
    gate = start_gate(config=alone("{default: {concurrency: 1}, queue_s: 30s}"))
    with ThreadPoolExecutor(8) as pool:
        assert {a.status for a in pool.map(lambda n: ask(gate, text=str(n)), range(24))} == {200}


def test_downgrade_and_alias(start_gate: StartGate, simulator: Simulator) -> None:
    """The provider is asked for the other model; the client is told."""
    gate = start_gate(
        config=alone(
            "{default: {aliases: {fast: claude-haiku-4-5}, budget_tokens: {month: 3000}, "
            "downgrade: [{over: 0.1, from: 'claude-opus-*', to: claude-sonnet-4-5}]}}"
        )
    )
    answer = ask(gate, model="fast")
    assert answer.headers["x-sluicegate-model"] == "claude-haiku-4-5"
    assert ask(gate, model="claude-opus-4-1", text="x" * 2000).headers.get("x-sluicegate-model") is None
    assert ask(gate, model="claude-opus-4-1").headers["x-sluicegate-model"] == "claude-sonnet-4-5"
    models = [r["model"] for r in gate.audit_records(3)]
    assert models == ["fast", "claude-opus-4-1", "claude-opus-4-1"]


def test_the_stage_alone(start_gate: StartGate) -> None:
    """addons/limiter.py limits by itself."""
    gate = start_gate(config=alone("{default: {rpm: 1, burst: 2}}"), scripts=[Path("addons/limiter.py").absolute()])
    assert [ask(gate).status for _ in range(3)] == [200, 200, 429]
