"""The provider's prompt cache on the simulator's bill."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner

from kits.gatekit import (
    Gate,
    Simulator,
    StartGate,
    request,
)
from sluicegate.cli import app

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


def change_tools(body: dict[str, Any]) -> str:
    body["tools"][3]["description"] = "something else"
    return "tools[3]"


def change_system(body: dict[str, Any]) -> str:
    body["system"][0]["text"] = SYSTEM.replace("careful", "careless", 1)
    return "system[0]"


def change_messages(body: dict[str, Any]) -> str:
    body["messages"][1]["content"] = "B"
    return "messages[1].content[0]"


def test_planted_changes_are_explained(simulator: Simulator, start_gate: StartGate) -> None:
    """In the record, on /stats and by `sluicegate why`: which block, at which byte, what it cost."""
    gate = start_gate(config=CONFIG.replace("MODE", "auto"))
    for change in (change_tools, change_system, change_messages):
        session = change.__name__
        body: dict[str, Any] = {
            "model": "claude-sonnet-4-5",
            "max_tokens": 64,
            "system": [{"type": "text", "text": SYSTEM}],
            "tools": [dict(tool) for tool in TOOLS],
            "messages": [{"role": role, "content": "a" * 9000} for role in ("user", "assistant", "user")],
            "metadata": {"user_id": json.dumps({"session_id": session})},
        }
        before = len(gate.audit_records())
        for _ in range(2):
            gate.post("/v1/messages", body, {"x-api-key": session})
        where = change(body)
        gate.post("/v1/messages", body, {"x-api-key": session})
        *fine, fall = [r["prompt_cache_fall"] for r in gate.audit_records(count=before + 3)[before:]]
        assert fine == [None, None]
        assert (fall["reason"], fall["where"]) == ("changed", where)
        assert fall["lost_usd"] > 0
        assert gate.get("/stats").json()["run"]["prompt_cache"]["recent"][-1]["where"] == where
        for source in (["--url", gate.url], ["--log", str(gate.state_dir / "audit.jsonl")]):
            said = CliRunner().invoke(app, ["why", session, *source])
            assert said.exit_code == 0, said.output
            assert f"{where} changed at byte" in said.stdout
            assert "tokens not read from the cache" in said.stdout
