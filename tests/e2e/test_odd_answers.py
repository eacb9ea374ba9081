"""Answers that are no plain success or failure: a healthy target still serves, and what is lost is lost visibly."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kits.gatekit import Gate, StartGate, wait_until
from kits.rawserver import (
    ASK,
    ASK_STREAM,
    FIRST_EVENTS,
    LAST_CHUNK,
    MESSAGE,
    SSE_HEAD,
    Asked,
    Behaviour,
    Client,
    Got,
    Peer,
    Upstream,
    answering,
    chunk,
    event,
    message,
    post,
    reply,
    stream,
)

CONFIG = """
providers:
  first: {{kind: anthropic, base_url: "{first}", keys: ["env:KEY_A"]}}
  second: {{kind: anthropic, base_url: "{second}", keys: ["env:KEY_B"]}}
routes:
  - {{model: "one-*", targets: [{{provider: first}}]}}
  - {{model: "*", targets: [{{provider: first}}, {{provider: second}}]}}
retry: {{attempts: 3, backoff: {{start_s: 0.02, factor: 1, max_s: 0.02}}, cooldown_s: 0}}
audit: {{log: "file:${{STATE}}/audit.jsonl"}}
"""
ENV = {"KEY_A": "key-a", "KEY_B": "key-b", "SLUICEGATE__RETRY__ATTEMPTS": None}
OK = json.dumps(MESSAGE).encode()
LONG = b'{"type":"error","error":{"type":"overloaded_error","message":"' + b"x" * 200_000 + b'"}}'
OVERLOADED = event("error", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})


@pytest.fixture(scope="module")
def first() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def second() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gate(first: Upstream, second: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    config = CONFIG.format(first=first.url, second=second.url)
    with Gate(tmp_path_factory.mktemp("gate"), upstream=first.url, config=config, env=ENV) as gate:
        yield gate


@pytest.fixture(autouse=True)
def _fresh(gate: Gate, first: Upstream, second: Upstream) -> None:
    ask(gate, first, message)  # whatever a test before has said of it, it is well again
    for upstream in (first, second):
        upstream.forget()


def ask(gate: Gate, first: Upstream, *behaviours: Behaviour, model: str = "one-1", **more: object) -> Got:
    first.say(*behaviours)
    with Client(gate.port) as client:
        client.send(post("/v1/messages", {**ASK, "model": model, **more}))
        return client.answer()


ODD: dict[str, Behaviour] = {
    "a long error": answering(reply(529, LONG)),
    "two lengths": answering(
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(OK) + LAST_CHUNK
    ),
    "another protocol": answering(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
    "an error in a stream, its type in capitals": answering(
        b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream\r\ntransfer-encoding: chunked\r\n\r\n"
        + chunk(OVERLOADED)
        + LAST_CHUNK
    ),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_second_target_serves(gate: Gate, first: Upstream, second: Upstream, odd: str, streamed: bool) -> None:
    """However oddly the first one fails, the client gets a whole answer of the second."""
    second.say(stream if streamed else message)
    answer = ask(gate, first, ODD[odd], model="any", stream=streamed)
    assert (answer.status, answer.complete) == (200, True)
    assert (b"message_stop" in answer.body) is streamed
    assert answer.one("x-sluicegate-attempts") == "2"
    assert len(second.requests) == 1


def test_a_long_error_without_another_target_is_passed_on(gate: Gate, first: Upstream) -> None:
    """Byte for byte, and the target is not hidden from the next request."""
    assert ask(gate, first, answering(reply(529, LONG))).body == LONG
    assert ask(gate, first, message).status == 200


def test_attempts_are_told_where_all_failed(gate: Gate, first: Upstream) -> None:
    """In the provider's last answer, and in an error of the gate's own."""
    overloaded = answering(reply(529, b"{}"))
    assert ask(gate, first, *[overloaded] * 3).one("x-sluicegate-attempts") == "3"
    cut = answering(b"", then="close")
    answer = ask(gate, first, *[cut] * 4)
    assert answer.status == 502
    assert answer.one("x-sluicegate-attempts") == str(len(first.requests) - 3)


def test_two_targets_that_say_not_to_try_again_are_two_attempts(gate: Gate, first: Upstream, second: Upstream) -> None:
    """The last failure is one of those that are counted, not one more."""
    no = answering(reply(529, b"{}", {"x-should-retry": "false"}))
    second.say(no)
    assert ask(gate, first, no, model="any").one("x-sluicegate-attempts") == "2"


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({"retry-after": "3600"}, "false"),
        ({"retry-after": "5"}, None),
        ({"retry-after": "3600", "x-should-retry": "true"}, "true"),
    ],
)
def test_a_client_is_not_left_to_sleep_for_an_hour(
    gate: Gate, first: Upstream, headers: dict[str, str], shown: str | None
) -> None:
    """Some SDKs sleep for whatever retry-after says: above a minute they are told not to try again."""
    answer = ask(gate, first, answering(reply(402, b"{}", headers)))
    assert answer.status == 402
    assert answer.one("retry-after") == headers["retry-after"]
    assert answer.one("x-should-retry") == shown


PAGE = {"content-type": "text/html"}
SENSELESS = {
    "a page": reply(body=b"<html>", headers=PAGE),
    "null": reply(body=b"null"),
    "nothing": reply(),
    "no content": reply(204),
    "a redirect": reply(307, headers={"location": "http://127.0.0.1:9/"}),
    "an error": reply(body=b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("odd", SENSELESS)
def test_a_success_that_is_none(gate: Gate, first: Upstream, second: Upstream, odd: str, streamed: bool) -> None:
    """The second target serves; without one the client gets an error of its own API, and the record says why."""
    second.say(stream if streamed else message)
    assert ask(gate, first, answering(SENSELESS[odd]), model="any", stream=streamed).status == 200
    before = len(gate.audit_records())
    answer = ask(gate, first, *[answering(SENSELESS[odd])] * 3, stream=streamed)
    assert answer.status == (529 if odd == "an error" else 502)
    assert json.loads(answer.body)["error"]["type"] == ("overloaded_error" if odd == "an error" else "api_error")
    record = gate.audit_records(count=before + 1)[-1]
    assert record["outcome"] == "failed"
    assert {attempt["cause"] for attempt in record["attempts"]} == {"no_answer"}


def test_a_message_is_no_answer_to_a_request_for_a_stream(gate: Gate, first: Upstream) -> None:
    """Client programs that cannot make sense of it ask again and again: they get an error."""
    answer = ask(gate, first, *[answering(reply(body=OK))] * 3, stream=True)
    assert answer.status == 502
    assert b"not a stream" in answer.body


def test_an_error_inside_of_a_stream_is_its_outcome(gate: Gate, first: Upstream) -> None:
    """In the record, in /stats and in /metrics."""
    before = len(gate.audit_records())
    answer = ask(gate, first, answering(SSE_HEAD + chunk(FIRST_EVENTS + OVERLOADED) + LAST_CHUNK), stream=True)
    assert (answer.status, answer.complete) == (200, True)
    assert gate.audit_records(count=before + 1)[-1]["outcome"] == "error_in_answer"
    assert gate.get("/stats").json()["run"]["outcomes"]["error_in_answer"] == 1
    assert b'outcome="error_in_answer"' in gate.get("/metrics").body


def test_an_account_without_credit(gate: Gate, first: Upstream, second: Upstream) -> None:
    """It comes as a 400: the other key serves, this one rests; without another the client gets the provider's words."""
    broke = reply(
        400, b'{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}'
    )
    second.say(message)
    answer = ask(gate, first, answering(broke), model="any")
    assert (answer.status, answer.one("x-sluicegate-attempts")) == (200, "2")
    second.say(message)
    before = len(first.requests)
    assert ask(gate, first, model="any").status == 200
    assert len(first.requests) == before
    last = ask(gate, first, answering(broke))
    assert (last.status, last.body) == (400, broke.partition(b"\r\n\r\n")[2])
    assert len(first.requests) == before + 1


def test_garbage_of_an_upstream_is_not_logged(gate: Gate, first: Upstream) -> None:
    """Bytes of an answer that can not be read stay out of the log and the record."""
    wire = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"{") + b"the user's words\r\n"
    assert ask(gate, first, *[answering(wire)] * 3).status == 502
    gate.audit_records(count=1)
    assert "words" not in gate.output()
    assert b"words" not in (Path(gate.state_dir) / "audit.jsonl").read_bytes()


def test_a_connection_that_is_closed_too_early_is_called_that(gate: Gate, first: Upstream) -> None:
    """An answer that is cut ends visibly, and its last words say by whom."""
    answer = ask(gate, first, answering(SSE_HEAD + chunk(FIRST_EVENTS), then="close"), stream=True)
    assert not answer.complete
    assert b"the upstream closed the connection before its answer was complete" in answer.body


def test_a_refusal_whose_body_is_slow_is_no_failure(first: Upstream, start_gate: StartGate) -> None:
    """A client that was pinged meanwhile is told of the 403; the request is not sent again."""
    pinged = threading.Event()

    def refuse_slowly(peer: Peer, _: Asked) -> None:
        pinged.wait(10)
        peer.send(b"HTTP/1.1 403 X\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{")
        peer.wait_closed(10)

    gate = start_gate(config=CONFIG.format(first=first.url, second=first.url) + "ping_s: 0.1\n", env=ENV)
    first.say(refuse_slowly)
    with Client(gate.port) as client:
        client.send(post("/v1/messages", {**ASK_STREAM, "model": "one-1"}))
        client.until(b"event: ping")
        pinged.set()
        assert b"HTTP 403" in client.rest()
    assert len(first.requests) == 1


# -- thinking that another model signed
SIGNED = {"type": "thinking", "thinking": "hm", "signature": "b3RoZXI="}
HISTORY = [
    {"role": "user", "content": "2+2"},
    {"role": "assistant", "content": [SIGNED, {"type": "text", "text": "4"}]},
    {"role": "user", "content": "sure?"},
]
REFUSED = json.dumps(
    {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "messages.1.content.0: Invalid `signature` in `thinking` block",
        },
    }
).encode()


def refuse_thinking(peer: Peer, asked: Asked) -> None:
    """As an Anthropic model does with thinking that another one signed."""
    if b"signature" in asked.body:
        peer.send(reply(400, REFUSED))
    elif json.loads(asked.body).get("stream"):
        stream(peer, asked)
    else:
        message(peer, asked)


@pytest.mark.parametrize("streamed", [False, True])
def test_thinking_that_is_refused_goes(gate: Gate, first: Upstream, streamed: bool) -> None:
    """After a fallback the first model gets the other one's thinking, and says 400: the same request without it is good."""
    answer = ask(gate, first, *[refuse_thinking] * 2, messages=HISTORY, stream=streamed)
    assert answer.status == 200
    assert answer.one("x-sluicegate-attempts") == "2"
    was, became = (json.loads(r.body)["messages"] for r in first.requests)
    assert was == HISTORY
    assert became == [HISTORY[0], {"role": "assistant", "content": [{"type": "text", "text": "4"}]}, HISTORY[2]]
    wait_until(lambda: [t["status"] for t in gate.audit_records()[-1]["attempts"]] == [400], "the attempts in the record")


def test_other_refusals_are_passed_on_as_they_are(gate: Gate, first: Upstream) -> None:
    """A 400 for another reason, and one that stays: unmodified, and nothing is sent a second or third time."""
    other = reply(400, b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long"}}')
    answer = ask(gate, first, answering(other), messages=HISTORY)
    assert (answer.status, answer.body) == (400, other.partition(b"\r\n\r\n")[2])
    assert len(first.requests) == 1
    stays = answering(reply(400, REFUSED))
    answer = ask(gate, first, *[stays] * 3, messages=HISTORY)
    assert (answer.status, answer.body) == (400, REFUSED)
    assert len(first.requests) == 3


def test_a_refusal_without_thinking_is_not_held(gate: Gate, first: Upstream) -> None:
    """A request whose history has none goes once."""
    with Client(gate.port) as client:
        first.say(answering(reply(400, REFUSED)))
        client.send(post("/v1/messages", ASK_STREAM))
        assert client.answer().body == REFUSED
    assert len(first.requests) == 1
