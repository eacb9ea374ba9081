"""Retry and failover: a failure that another attempt can mend never reaches the client."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterator
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
from kits.rawserver import Web

CONFIG = """
providers:
  first:  {{kind: anthropic, base_url: "{first}", keys: ["env:KEY_1", "env:KEY_2"]}}
  second: {{kind: anthropic, base_url: "{second}", keys: ["env:KEY_B"]}}
  dead:   {{kind: anthropic, base_url: "http://127.0.0.1:1", keys: ["env:KEY_B"]}}
routes:
  - {{model: "claude-dead-*", targets: [{{provider: dead}}]}}
  - {{model: "claude-opus-*", targets: [{{provider: dead}}, {{provider: second, model: claude-sonnet-4-5}}]}}
  - {{model: "claude-sonnet-*", targets: [{{provider: second}}]}}
  - {{model: "*", targets: [{{provider: first}}, {{provider: second}}]}}
retry: {{attempts: 4, backoff: {{start_s: 0.05, factor: 2, max_s: 1, jitter: true}}, cooldown_s: 0.2}}
timeouts: {{connect_s: 2, first_byte_s: 1, idle_s: 1}}
ping_s: {ping_s}
audit: {{log: "file:${{STATE}}/audit.jsonl"}}
"""
KEYS = {"KEY_1": "key-one", "KEY_2": "key-two", "KEY_B": "key-b", "SLUICEGATE__RETRY__ATTEMPTS": None}


@pytest.fixture(scope="module")
def upstreams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Simulator, Simulator]]:
    folder = tmp_path_factory.mktemp("upstreams")
    with Simulator(folder / "first", name="first") as first, Simulator(folder / "second", name="second") as second:
        yield first, second


@pytest.fixture(scope="module")
def gate(upstreams: tuple[Simulator, Simulator], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    first, second = upstreams
    config = CONFIG.format(first=first.url, second=second.url, ping_s=0)
    with Gate(tmp_path_factory.mktemp("gate"), upstream=first.url, config=config, env=KEYS) as gate:
        yield gate


@pytest.fixture(autouse=True)
def _fresh(upstreams: tuple[Simulator, Simulator]) -> None:
    for upstream in upstreams:
        upstream.script([])
        upstream.clear()


@pytest.fixture
def script(upstreams: tuple[Simulator, Simulator], gate: Gate) -> Callable[..., None]:
    """What the first upstream does with its next calls; cooldowns from earlier tests are over before."""

    def all_serve() -> bool:
        for upstream in upstreams:
            upstream.clear()
        for session in range(12):
            ask(gate, metadata={"user_id": f'{{"session_id": "s{session}"}}'})
        ask(gate, "claude-sonnet-4-5")
        return {"key-one", "key-two"} == set(keys_used(upstreams[0])) and len(upstreams[1].calls()) == 1

    def set_steps(*steps: dict[str, Any]) -> None:
        wait_until(all_serve, "no key rests any more")
        for upstream in upstreams:
            upstream.clear()
        upstreams[0].script(steps)

    return set_steps


def ask(gate: Gate, model: str = "claude-haiku-4-5", *, stream: bool = False, **more: object) -> Answer:
    body = {"model": model, "max_tokens": 50, "stream": stream, "messages": [{"role": "user", "content": "hi"}], **more}
    return request("POST", f"{gate.url}/v1/messages", body=body, headers={"x-api-key": "the-clients-own"})


def keys_used(upstream: Simulator) -> list[str]:
    return [{k.lower(): v for k, v in call["headers"]}["x-api-key"] for call in upstream.calls()]


FAULTS = {
    "overloaded": {"status": 529},
    "limited": {"status": 429},
    "broken": {"status": 500},
    "reset": {"fault": "reset"},
    "closed": {"fault": "eof"},
    "nonsense": {"fault": "garbage"},
    "silent": {"fault": "stall", "stall_s": 5},
}


# the first-byte timeout holds for streams; JSON answers, which come in one go, have the total one
CASES = [(fault, stream) for fault in FAULTS for stream in (False, True) if stream or fault != "silent"]


@pytest.mark.parametrize(("fault", "stream"), CASES)
def test_one_failure_is_not_seen_by_the_client(gate: Gate, script: Callable[..., None], fault: str, stream: bool) -> None:
    """Another target, or key, serves the request; the header and the record tell how many attempts it took."""
    script({"times": 1, **FAULTS[fault]})
    answer = ask(gate, stream=stream)
    assert answer.status == 200
    assert "message_stop" in answer.text if stream else answer.json()["type"] == "message"
    assert answer.headers["x-sluicegate-attempts"] == "2"


def test_an_error_as_the_first_event_is_a_failure(gate: Gate, script: Callable[..., None]) -> None:
    """Overloads are reported as `event: error` after a 200; the client sees neither the 200 nor the error."""
    script({"times": 1, "fault": "error", "at": 0})
    answer = ask(gate, stream=True)
    assert answer.status == 200
    assert "event: error" not in answer.text
    assert answer.text.count("event: message_start") == 1
    assert "message_stop" in answer.text


def test_nothing_is_retried_after_the_first_byte(
    gate: Gate, upstreams: tuple[Simulator, Simulator], script: Callable[..., None]
) -> None:
    """What breaks later ends the stream visibly, once, and costs no second call."""
    script({"times": 1, "fault": "reset", "at": 3})
    with pytest.raises((http.client.IncompleteRead, ConnectionError)) as broken:
        ask(gate, stream=True)
    seen = getattr(broken.value, "partial", b"")
    assert seen.count(b"event: error") == 1
    assert sum(len(u.calls()) for u in upstreams) == 1


def test_a_stalled_stream_ends_visibly(gate: Gate, script: Callable[..., None]) -> None:
    """No byte for timeouts.idle_s: `event: error`, then the end."""
    script({"times": 1, "fault": "stall", "at": 3, "stall_s": 20})
    with pytest.raises((http.client.IncompleteRead, ConnectionError)) as broken:
        ask(gate, stream=True)
    assert b"sent nothing" in getattr(broken.value, "partial", b"sent nothing")


def test_a_dead_provider_is_passed_over_and_the_model_renamed(gate: Gate, upstreams: tuple[Simulator, Simulator]) -> None:
    """Connection refused: the next target, with the model that the route names for it."""
    answer = ask(gate, "claude-opus-4-1")
    assert answer.status == 200
    assert answer.json()["model"] == "claude-sonnet-4-5"
    assert keys_used(upstreams[1]) == ["key-b"]
    record = gate.audit_records()[-1]
    assert (record["model"], record["model_served"]) == ("claude-opus-4-1", "claude-sonnet-4-5")


def test_when_all_fail_the_client_gets_a_native_error(gate: Gate) -> None:
    """Nobody listens: 502 with an Anthropic-format body that says where."""
    answer = ask(gate, "claude-dead-1")
    assert answer.status == 502
    assert answer.json()["type"] == "error"
    assert "127.0.0.1:1" in answer.text
    record = gate.audit_records()[-1]
    assert record["outcome"] == "failed"
    assert len(record["attempts"]) == 4


def test_the_last_failure_s_body_is_unmodified(
    gate: Gate, upstreams: tuple[Simulator, Simulator], script: Callable[..., None]
) -> None:
    """A client's recovery matches the wording of the provider's errors."""
    body = '{"type":"error","error":{"type":"overloaded_error","message":"exactly this"},"n":1.50}'
    script({"times": 9, "status": 529, "body": body})
    upstreams[1].script([{"times": 9, "status": 529, "body": body}])
    answer = ask(gate)
    assert (answer.status, answer.text) == (529, body)


def test_what_is_no_failure_is_not_repeated(
    gate: Gate, upstreams: tuple[Simulator, Simulator], script: Callable[..., None]
) -> None:
    """A 400 is the client's answer."""
    script({"times": 1, "status": 400})
    assert ask(gate).status == 400
    assert sum(len(u.calls()) for u in upstreams) == 1


def test_a_session_keeps_its_key(gate: Gate, upstreams: tuple[Simulator, Simulator]) -> None:
    """The prompt cache is per workspace: one session stays with one key, several sessions use both."""
    for session in range(12):
        for _ in range(2):
            ask(gate, metadata={"user_id": f'{{"session_id": "s{session}"}}'})
    used = keys_used(upstreams[0])
    assert all(a == b for a, b in zip(used[::2], used[1::2], strict=True))
    assert set(used) == {"key-one", "key-two"}


def test_a_key_that_is_not_accepted_is_benched(gate: Gate, upstreams: tuple[Simulator, Simulator], tmp_path: Path) -> None:
    """After a 401 on our own key the next key serves, and the bad one is left alone and reported."""
    first, second = upstreams
    config = CONFIG.format(first=first.url, second=second.url, ping_s=0)
    with Gate(tmp_path / "own", upstream=first.url, config=config, env=KEYS) as own:
        first.script([{"times": 1, "status": 401}])
        assert ask(own).status == 200
        bad = keys_used(first)[0]
        for _ in range(4):
            assert ask(own).status == 200
        assert keys_used(first).count(bad) == 1
        assert "key.refused" in own.output()
        assert bad not in own.output()


def test_a_client_that_leaves_during_a_wait_ends_the_attempts(
    gate: Gate, upstreams: tuple[Simulator, Simulator], script: Callable[..., None]
) -> None:
    """No call is made for a client that is gone."""
    script({"times": 9, "status": 529, "headers": {"retry-after": "30"}})
    upstreams[1].script([{"times": 9, "status": 529, "headers": {"retry-after": "30"}}])
    body = b'{"model":"claude-haiku-4-5","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}'
    with socket.create_connection(("127.0.0.1", gate.port)) as client:
        head = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
        client.sendall(head + body)
        wait_until(lambda: sum(len(u.calls()) for u in upstreams) >= 3, "each key and provider asked once")
    seen = len(gate.audit_records())
    wait_until(lambda: any(r["outcome"] == "client_abort" for r in gate.audit_records()[seen - 1 :]), "the record")
    assert sum(len(u.calls()) for u in upstreams) == 3


def test_a_waiting_stream_gets_pings(upstreams: tuple[Simulator, Simulator], tmp_path: Path) -> None:
    """The first ping commits the client to a stream; a good answer follows without a second head, a failure as an event."""
    first, second = upstreams
    config = CONFIG.format(first=first.url, second=second.url, ping_s=0.2)
    with Gate(tmp_path / "pinging", upstream=first.url, config=config, env=KEYS) as gate:
        first.script([{"times": 1, "first_byte_ms": 700}])
        answer = ask(gate, stream=True)
        assert answer.text.startswith("event: ping")
        assert "message_stop" in answer.text
        limited = {"times": 9, "status": 429, "headers": {"retry-after": "1"}}
        first.script([limited])
        second.script([limited])
        with pytest.raises((http.client.IncompleteRead, ConnectionError)) as broken:
            ask(gate, stream=True)
        assert b"event: error" in getattr(broken.value, "partial", b"event: error")
        json_answer = ask(gate)
        assert json_answer.status == 429


def test_timers_work_inside_a_tunnel(upstreams: tuple[Simulator, Simulator], tmp_path: Path) -> None:
    """Through the regular door a request is two HTTP layers deep: pings, first-byte and idle timeouts hold there, too."""
    first, second = upstreams
    config = CONFIG.format(first=first.url, second=second.url, ping_s=0.2)
    with Gate(tmp_path / "tunnel", upstream=first.url, config=config, env=KEYS, regular=True) as gate:
        trusted = ssl.create_default_context(cafile=gate.ca_cert)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({"https": gate.proxy_url}), urllib.request.HTTPSHandler(context=trusted)
        )
        body = b'{"model":"claude-haiku-4-5","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"hi"}]}'

        def post() -> bytes:
            asked = urllib.request.Request("https://api.anthropic.com/v1/messages", body)
            with opener.open(asked, timeout=20) as answer:
                return bytes(answer.read())

        first.script([{"times": 1, "first_byte_ms": 700}])
        assert post().startswith(b"event: ping")
        first.script([{"times": 1, "fault": "stall", "stall_s": 20}])
        assert b"message_stop" in post()
        first.script([{"times": 2, "fault": "stall", "at": 4, "stall_s": 20}])
        with pytest.raises((http.client.IncompleteRead, ConnectionError, ssl.SSLError)):
            post()
        assert "crashed" not in gate.output()


def test_no_ping_says_that_all_is_well_while_nobody_can_be_reached(
    upstreams: tuple[Simulator, Simulator], tmp_path: Path
) -> None:
    """Connections are refused: a waiting stream gets no pings, and the client the native error in the end."""
    first, second = upstreams
    config = CONFIG.format(first=first.url, second=second.url, ping_s=0.1).replace("start_s: 0.05", "start_s: 0.5")
    with Gate(tmp_path / "dead", upstream=first.url, config=config, env=KEYS) as gate:
        answer = ask(gate, "claude-dead-1", stream=True)
        assert (answer.status, answer.headers["content-type"]) == (502, "application/json")


def test_each_attempt_is_seen_in_mitmweb_and_none_shows_a_key(
    upstreams: tuple[Simulator, Simulator], tmp_path: Path
) -> None:
    """A flow for each failed attempt beside the exchange's own; no key of either provider in them, or in a file."""
    first, second = upstreams
    saved = tmp_path / "web" / "saved.flows"
    config = CONFIG.format(first=first.url, second=second.url, ping_s=0)
    with Gate(
        tmp_path / "web",
        upstream=first.url,
        config=config,
        env={**KEYS, "KEY_1": "sk-FIRST-KEY", "KEY_2": "sk-OTHER-KEY", "KEY_B": "sk-SECOND-KEY"},
        program="mitmweb",
        options={"save_stream_file": str(saved)},
    ) as gate:
        first.script([{"status": 529}, {"fault": "reset"}])
        answer = ask(gate)
        assert (answer.status, answer.headers["x-sluicegate-attempts"]) == (200, "3")
        web = Web(gate.web_port)
        flows = [f for f in web.call("GET", "/flows").json() if f["request"]["path"] == "/v1/messages"]
        attempts = [f for f in flows if f["comment"]]
        assert len(flows) == 3
        assert [f["comment"].partition(", ")[2].partition(" at")[0] for f in attempts] == [
            "attempt 1: status",
            "attempt 2: stale",  # the connection of the first attempt, used again
        ]
        assert attempts[0]["response"]["status_code"] == 529
        assert attempts[1]["error"]
        assert {f["request"]["port"] for f in attempts} == {first.port}
        assert b"overloaded" in web.call("GET", f"/flows/{attempts[0]['id']}/response/content.data").body
        shown = b"".join(web.call("GET", page).body for page in ("/flows", "/flows/dump", "/events", "/options"))
    kept = shown + b"".join(f.read_bytes() for f in (tmp_path / "web").rglob("*") if f.is_file())
    assert b"-KEY" not in kept.replace(b"PRIVATE KEY", b"")
    assert b"the-clients-own" not in kept
