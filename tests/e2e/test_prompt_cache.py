"""The provider's prompt cache on the simulator's bill."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from gatekit import BIN, Gate, Simulator, clean_env, request

from conftest import StartGate

CONFIG = """\
providers: {anthropic: {kind: anthropic, base_url: "${UPSTREAM}"}}
audit: {log: "file:${STATE}/audit.jsonl"}
state_dir: "${STATE}"
cache: {prompt_cache: {inject: MODE}}
"""
SYSTEM = "You are a careful assistant; answer in one line. " * 600
TOOLS = [{"name": f"tool_{i}", "description": "does things " * 20, "input_schema": {"type": "object"}} for i in range(10)]


def converse(gate: Gate, turns: int) -> None:
    """A conversation that grows turn by turn, as an SDK's user writes it: no cache_control anywhere."""
    messages: list[dict[str, Any]] = []
    for n in range(turns):
        messages.append({"role": "user", "content": f"question {n}: " + "some words " * 30})
        body = {"model": "claude-sonnet-4-5", "max_tokens": 64, "system": SYSTEM, "tools": TOOLS, "messages": messages}
        answer = gate.post("/v1/messages", body, {"x-api-key": "k"})
        assert answer.status == 200, answer.text
        messages.append({"role": "assistant", "content": answer.json()["content"]})


def bill(simulator: Simulator) -> float:
    cost: float = request("GET", f"{simulator.url}/_sim/bill").json()["cost_usd"]
    return cost


def test_a_long_conversation_costs_a_fraction(simulator: Simulator, start_gate: StartGate) -> None:
    """40 turns with injection cost at most 30 % of the same 40 turns without."""
    cost = {}
    for mode in ("off", "auto"):
        before = bill(simulator)
        converse(start_gate(config=CONFIG.replace("MODE", mode)), 40)
        cost[mode] = bill(simulator) - before
    assert cost["auto"] <= 0.3 * cost["off"], cost


@pytest.mark.parametrize("place", ["tools", "system", "messages"])
def test_a_planted_change_is_explained(simulator: Simulator, start_gate: StartGate, place: str) -> None:
    """In the record, on /stats and by `sluicegate why`: which block, at which byte, what it cost."""
    gate = start_gate(config=CONFIG.replace("MODE", "auto"))
    body: dict[str, Any] = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 64,
        "system": [{"type": "text", "text": SYSTEM}],
        "tools": [dict(t) for t in TOOLS],
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c" * 9000},
        ],
        "metadata": {"user_id": json.dumps({"session_id": f"planted-{place}"})},
    }
    headers = {"x-api-key": f"k-{place}"}
    for _ in range(2):
        gate.post("/v1/messages", body, headers)
    if place == "tools":
        body["tools"][3]["description"] = "something else"
    elif place == "system":
        body["system"][0]["text"] = SYSTEM.replace("careful", "careless", 1)
    else:
        body["messages"][1]["content"] = "B"
    gate.post("/v1/messages", body, headers)
    falls = [r["prompt_cache_fall"] for r in gate.audit_records(count=3)]
    assert falls[:2] == [None, None]
    where = {"tools": "tools[3]", "system": "system[0]", "messages": "messages[1].content[0]"}[place]
    assert (falls[2]["reason"], falls[2]["where"]) == ("changed", where)
    assert falls[2]["lost_usd"] > 0
    recent = gate.get("/stats").json()["run"]["prompt_cache"]["recent"]
    assert [f["where"] for f in recent] == [where]
    for source in (["--url", gate.url], ["--log", str(gate.state_dir / "audit.jsonl")]):
        command = [str(BIN / "sluicegate"), "why", f"planted-{place}", *source]
        said = subprocess.run(command, env=clean_env(), capture_output=True, text=True, timeout=60)
        assert said.returncode == 0, said.stderr
        assert f"{where} changed at byte" in said.stdout
        assert "tokens were not read again" in said.stdout
