"""Both caches with real clients."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import anthropic
import pytest

from kits.clientkit import API_KEY, Door, RunClaude
from kits.gatekit import Gate, Simulator

CONFIG = """\
providers: {anthropic: {kind: anthropic, base_url: "${UPSTREAM}"}}
audit: {log: "file:${STATE}/audit.jsonl"}
state_dir: "${STATE}"
cache: {mode: MODE, prompt_cache: {inject: auto}}
"""


@pytest.fixture
def mode() -> str:
    return "normalized"


@pytest.fixture
def caching(sim: Simulator, tmp_path: Path, mode: str) -> Iterator[Gate]:
    with Gate(tmp_path / "gate", upstream=sim.url, config=CONFIG.replace("MODE", mode)) as gate:
        yield gate


@pytest.fixture
def door(caching: Gate) -> Door:
    """In place of the three doors of the other tests: a gate with a cache."""
    return Door("caching", {"ANTHROPIC_API_KEY": API_KEY, "ANTHROPIC_BASE_URL": caching.url})


def labels(gate: Gate) -> list[str]:
    return [r["cache"] for r in gate.audit_records() if r["surface"] == "messages"]


def test_the_same_prompt_again_costs_nothing(claude: RunClaude, caching: Gate, sim: Simulator) -> None:
    """Claude Code, run twice with a tool in between: the second run is answered from the cache, word for word."""
    first = claude("use the Bash tool", "--allowedTools", "Bash")
    asked = len(sim.calls())
    before = labels(caching)
    second = claude("use the Bash tool", "--allowedTools", "Bash")
    assert second == first
    assert set(labels(caching)[len(before) :]) == {"HIT-NORM"}
    paid = [call for call in sim.calls()[asked:] if call["path"] == "/v1/messages"]
    assert paid == []


@pytest.mark.parametrize("mode", ["off"])
def test_claude_codes_bodies_are_not_touched(claude: RunClaude, caching: Gate, sim: Simulator) -> None:
    """It sets its own markers: what it sends arrives byte for byte, though injection is on."""
    claude("use the Bash tool", "--allowedTools", "Bash")
    calls = [call for call in sim.calls() if call["method"] == "POST" and call["path"] == "/v1/messages"]
    assert len(calls) >= 2
    for call in calls:
        raw = call["body"].encode()
        sim.clear()
        indented = json.dumps(json.loads(raw), indent=1).encode()  # what is decoded and written anew would show
        headers = {k: v for k, v in call["headers"] if k.lower() not in ("content-length", "host", "connection")}
        for sent in (raw, indented):
            assert caching.post("/v1/messages?beta=true", sent, headers | {"x-api-key": API_KEY}).status == 200
        assert [again["body"].encode() for again in sim.calls()] == [raw, indented]


@pytest.mark.parametrize("mode", ["off"])
def test_an_sdks_conversation_reads_from_the_providers_cache(door: Door, sim: Simulator) -> None:
    """Without a marker of its own: from the second turn on most of its prompt is read, little is paid in full."""
    client = anthropic.Anthropic(api_key=API_KEY, base_url=door.environment["ANTHROPIC_BASE_URL"], max_retries=0)
    messages: list[anthropic.types.MessageParam] = []
    for n in range(4):
        messages.append({"role": "user", "content": f"question {n}"})
        answer = client.messages.create(
            model="claude-sonnet-4-5", max_tokens=50, system="Be careful. " * 600, messages=messages
        )
        messages.append({"role": "assistant", "content": answer.content})  # type: ignore[typeddict-item]
        read, fresh = answer.usage.cache_read_input_tokens or 0, answer.usage.input_tokens
        assert fresh < 10
        assert (read > 1000) == (n > 0)
