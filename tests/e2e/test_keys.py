"""A pool of keys for one provider: who gets which, what a refusal means, and keys that change while the gate runs."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kits.gatekit import (
    Answer,
    Gate,
    Simulator,
    StartGate,
    StartSimulator,
    request,
    wait_until,
)
from kits.rawserver import (
    MESSAGE,
    Upstream,
    answering,
    reply,
)

CONFIG = """
providers:
  first:  {{kind: anthropic, base_url: "{first}", keys: {keys}}}
  second: {{kind: anthropic, base_url: "{second}", keys: ["env:KEY_B"]}}
routes:
  - {{model: "claude-opus-*", targets: [{{provider: first}}, {{provider: second, model: claude-haiku-4-5}}]}}
  - {{model: "*", targets: [{{provider: first}}]}}
retry: {{attempts: 4, backoff: {{start_s: 0.05, factor: 2, max_s: 1}}, cooldown_s: 0.1}}
audit: {{log: "file:${{STATE}}/audit.jsonl"}}
"""
ENV = {"KEY_1": "key-one", "KEY_2": "key-two", "KEY_3": "key-three", "KEY_B": "key-b", "SLUICEGATE__RETRY__ATTEMPTS": None}
THREE = '["env:KEY_1", "env:KEY_2", "env:KEY_3"]'


def config(first: Simulator, second: Simulator | None = None, keys: str = THREE) -> str:
    return CONFIG.format(first=first.url, second=(second or first).url, keys=keys)


def ask(gate: Gate, session: str | None = None, model: str = "claude-haiku-4-5") -> Answer:
    body: dict[str, object] = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"x-claude-code-session-id": session} if session else {}
    return request("POST", f"{gate.url}/v1/messages", body=body, headers=headers)


def keys_used(simulator: Simulator) -> list[str]:
    return [{k.lower(): v for k, v in call["headers"]}["x-api-key"] for call in simulator.calls()]


def a_session_of(gate: Gate, simulator: Simulator, key: str) -> str:
    """A session whose own key is this one."""
    for n in range(200):
        simulator.clear()
        assert ask(gate, f"session-{n}").status == 200
        if keys_used(simulator) == [key]:
            simulator.clear()
            return f"session-{n}"
    raise AssertionError(f"no session has {key}")


def test_requests_without_a_session_take_each_key_in_turn(start_gate: StartGate, simulator: Simulator) -> None:
    """Nothing is known of their limits: no key is asked more than another."""
    gate = start_gate(config=config(simulator), env=ENV)
    for _ in range(9):
        ask(gate)
    assert sorted(keys_used(simulator)) == ["key-one"] * 3 + ["key-three"] * 3 + ["key-two"] * 3


@pytest.mark.parametrize("header", ["x-session-id", "x-session-affinity", "session-id", "thread-id"])
def test_a_session_keeps_its_key_whichever_client_names_it(
    start_gate: StartGate, simulator: Simulator, header: str
) -> None:
    """As Claude Code's does: opencode's and Codex' too, so that its prompt cache stays warm."""
    gate = start_gate(config=config(simulator), env=ENV)
    body = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    for _ in range(4):
        assert request("POST", f"{gate.url}/v1/messages", body=body, headers={header: "one"}).status == 200
    assert len(set(keys_used(simulator))) == 1


def test_the_key_with_the_most_left_comes_first(start_gate: StartGate) -> None:
    """Keys whose last answers said that little of their minute is left are spared until the minute is over."""
    reset = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    kind = "anthropic-ratelimit-tokens"

    def answer(left: int) -> bytes:
        limits = {f"{kind}-limit": "1000", f"{kind}-remaining": str(left), f"{kind}-reset": reset}
        return reply(200, json.dumps(MESSAGE).encode(), limits)

    with Upstream() as upstream:
        upstream.say(*(answering(answer(left)) for left in (500, 100, 900, 900, 900, 900)))
        gate = start_gate(config=CONFIG.format(first=upstream.url, second=upstream.url, keys=THREE), env=ENV)
        for _ in range(6):
            assert ask(gate).status == 200
        used = [asked.one("x-api-key") for asked in upstream.requests]
    assert len(set(used[:3])) == 3
    assert used[3:] == [used[2]] * 3


def test_a_session_waits_for_its_own_key_when_that_is_only_paced(start_gate: StartGate, simulator: Simulator) -> None:
    """429 with a retry-after within the minute: a warm prompt cache is worth the wait; the next key is not stampeded."""
    gate = start_gate(config=config(simulator), env=ENV)
    session = a_session_of(gate, simulator, "key-two")
    simulator.script([{"status": 429, "headers": {"retry-after": "1"}}])
    began = time.monotonic()
    answer = ask(gate, session)
    assert answer.status == 200
    assert keys_used(simulator) == ["key-two", "key-two"]
    assert time.monotonic() - began >= 1
    assert answer.headers["x-sluicegate-attempts"] == "2"


def test_a_spent_key_is_retired_and_the_next_serves(start_gate: StartGate, simulator: Simulator) -> None:
    """A retry-after of hours, or words about a spend limit: no wait, the next key, an alarm, and the key is left alone."""
    gate = start_gate(config=config(simulator), env=ENV)
    session = a_session_of(gate, simulator, "key-two")
    simulator.script([{"status": 429, "headers": {"retry-after": "7200"}}])
    assert ask(gate, session).status == 200
    words = '{"type":"error","error":{"type":"rate_limit_error","message":"You have reached your specified spend limit."}}'
    simulator.script([{"status": 429, "body": words}])
    assert ask(gate, session).status == 200
    for _ in range(3):
        assert ask(gate, session).status == 200
    used = keys_used(simulator)
    assert used[0] == "key-two"
    assert len(set(used[-3:])) == 1
    assert used[-1] not in (used[0], used[2])
    assert gate.output().count("key.spent") == 2
    assert not any(key in gate.output() for key in ("key-one", "key-two", "key-three"))


def test_when_all_keys_are_spent_the_client_is_told_when(start_gate: StartGate, simulator: Simulator) -> None:
    """The provider's own answer, with its retry-after: here giving up at once is what we mean."""
    gate = start_gate(config=config(simulator), env=ENV)
    simulator.script([{"times": 9, "status": 429, "headers": {"retry-after": "7200"}}])
    answer = ask(gate)
    assert (answer.status, answer.headers["retry-after"]) == (429, "7200")
    assert len(keys_used(simulator)) == 3


def test_a_long_retry_after_is_not_passed_on_while_another_target_may_serve(
    start_gate: StartGate, simulator: Simulator, start_simulator: StartSimulator
) -> None:
    """Above a minute a client gives up; the first target will be back in a second, so the client is told that."""
    second = start_simulator()
    text = config(simulator, second, '["env:KEY_1"]').replace("attempts: 4", "attempts: 2")
    gate = start_gate(config=text, env=ENV)
    simulator.script([{"times": 9, "status": 529}])
    said = {"retry-after": "3600", "x-should-retry": "false"}
    second.script([{"times": 9, "status": 429, "headers": said}])
    answer = ask(gate, model="claude-opus-4-1")
    assert answer.status == 429
    assert answer.headers["retry-after"] == "1"
    assert "x-should-retry" not in answer.headers


def test_x_should_retry_is_passed_on_as_it_is(start_gate: StartGate, simulator: Simulator) -> None:
    """The only target's own word."""
    gate = start_gate(config=config(simulator, keys='["env:KEY_1"]'), env=ENV)
    simulator.script([{"times": 9, "status": 529, "headers": {"x-should-retry": "false", "retry-after": "30"}}])
    answer = ask(gate)
    assert (answer.status, answer.headers["x-should-retry"], answer.headers["retry-after"]) == (529, "false", "30")
    assert len(simulator.calls()) == 1


@pytest.mark.parametrize("kind", ["file", "cmd"])
def test_a_key_is_changed_without_a_restart(start_gate: StartGate, simulator: Simulator, tmp_path: Path, kind: str) -> None:
    """A file that changes is read again at once; a command when the provider does not accept the key any more."""
    secret = tmp_path / "key"
    secret.write_text("old-key\n")
    reference = f"file:{secret}" if kind == "file" else f"cmd:cat {secret}"
    gate = start_gate(config=config(simulator, keys=f'["{reference}"]'), env=ENV)
    assert ask(gate).status == 200
    assert keys_used(simulator) == ["old-key"]
    secret.write_text("new-key\n")
    if kind == "cmd":
        simulator.script([{"status": 401}])
        assert ask(gate).status == 401
        timeout_s = 15.0
    else:
        timeout_s = 10.0

    def uses_the_new_key() -> bool:
        ask(gate)
        return keys_used(simulator)[-1] == "new-key"

    wait_until(uses_the_new_key, "the new key in use", timeout_s)
    assert "key.renewed" in gate.output() or gate.program == "mitmdump"
    assert "old-key" not in gate.output()


def test_a_key_file_that_vanishes_leaves_the_key_in_use(
    start_gate: StartGate, simulator: Simulator, tmp_path: Path
) -> None:
    """The key as it was, and an alarm that names the file."""
    secret = tmp_path / "key"
    secret.write_text("the-key")
    gate = start_gate(config=config(simulator, keys=f'["file:{secret}"]'), env=ENV)
    secret.unlink()
    gate.wait_for_output("key.unreadable")
    assert ask(gate).status == 200
    assert keys_used(simulator) == ["the-key"]


QUEUE = "  queue: {size: 1, for_s: %s, start_s: 0.3, factor: 2, max_s: 1, jitter: false}\n"


def with_queue(text: str, for_s: float) -> str:
    head, tail = text.split("audit:")
    head = head.replace("retry: {", "retry:\n  ").replace(", backoff:", "\n  backoff:").replace("}, cooldown_s: 0.1}", "}")
    return head.replace("attempts: 4", "attempts: 1\n  cooldown_s: 0.1") + QUEUE % for_s + "audit:" + tail


def test_the_queue_outlasts_an_outage(start_gate: StartGate, simulator: Simulator) -> None:
    """When the attempts are used up a call waits and tries again, until the provider serves."""
    gate = start_gate(config=with_queue(config(simulator, keys='["env:KEY_1"]'), 30), env=ENV)
    simulator.script([{"times": 3, "status": 529}])
    answer = ask(gate)
    assert answer.status == 200
    assert answer.headers["x-sluicegate-attempts"] == "4"


def test_the_queue_is_bounded_in_time_and_in_places(start_gate: StartGate, simulator: Simulator) -> None:
    """After for_s a call gets the provider's answer; one that finds no place gets it at once."""
    gate = start_gate(config=with_queue(config(simulator, keys='["env:KEY_1"]'), 2), env=ENV)
    simulator.script([{"times": 99, "status": 529}])
    answer = ask(gate)
    assert answer.status == 529
    tries = len(simulator.calls())
    assert tries >= 3
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(ask, gate)
        simulator.calls(count=tries + 2)
        simulator.clear()
        assert ask(gate).status == 529
        assert waiting.result(10).status == 529


def test_a_fallback_that_is_too_small_is_passed_over(
    start_gate: StartGate, simulator: Simulator, start_simulator: StartSimulator
) -> None:
    """A prompt beyond the fallback's window goes to the next rung; a short one is served by it."""
    small, local = start_simulator(), start_simulator()
    text = f"""
providers:
  first: {{kind: anthropic, base_url: "{simulator.url}", keys: ["env:KEY_1"]}}
  small: {{kind: anthropic, base_url: "{small.url}", keys: ["env:KEY_2"]}}
  local: {{kind: anthropic, base_url: "{local.url}", keys: ["env:KEY_3"]}}
routes:
  - model: "*"
    targets:
      - {{provider: first}}
      - {{provider: small, model: claude-haiku-4-5, context: 2000}}
      - {{provider: local, model: claude-sonnet-4-5}}
retry: {{attempts: 3, cooldown_s: 0}}
"""
    gate = start_gate(config=text, env=ENV)
    for words, server in (("hi", small), ("hi " * 20_000, local)):
        simulator.script([{"status": 529}])
        body = {"model": "claude-opus-4-1", "max_tokens": 9, "messages": [{"role": "user", "content": words}]}
        assert request("POST", f"{gate.url}/v1/messages", body=body).status == 200
        assert len(server.calls()) == 1
    assert len(small.calls()) == 1


def test_thinking_is_stripped_when_the_model_changes(
    start_gate: StartGate, simulator: Simulator, start_simulator: StartSimulator
) -> None:
    """The asked model gets its own signed thinking back; the fallback, which would answer 400, gets none."""
    second = start_simulator()
    gate = start_gate(config=config(simulator, second), env=ENV)
    simulator.script([{"times": 9, "status": 500}])
    turn = [{"type": "thinking", "thinking": "hm", "signature": "c2ln"}, {"type": "text", "text": "4"}]
    messages = [
        {"role": "user", "content": "2+2"},
        {"role": "assistant", "content": turn},
        {"role": "user", "content": "sure?"},
    ]
    body = {"model": "claude-opus-4-1", "max_tokens": 9, "messages": messages}
    assert request("POST", f"{gate.url}/v1/messages", body=body).status == 200
    assert json.loads(simulator.calls()[0]["body"])["messages"] == messages
    seen = json.loads(second.calls()[0]["body"])
    assert seen["messages"][1]["content"] == turn[1:]
    assert seen["model"] == "claude-haiku-4-5"
