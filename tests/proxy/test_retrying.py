"""proxy/retrying.py: attempts, as transcripts of what comes in and what goes out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import http

from kits.playbook import Playbook
from kits.transcript import (
    ClientLeaves,
    Closed,
    Dial,
    FromClient,
    FromServer,
    Hook,
    ServerLeaves,
    TimeIsUp,
    ToClient,
    ToServer,
    Transcript,
)
from sluicegate.exchange.exchange import exchange_of
from sluicegate.gate.chain import Chain
from sluicegate.proxy import attempt_states, pings, retrying, stream
from sluicegate.proxy.hooks import FailedAttempt, GiveUp
from sluicegate.settings.retry import Backoff, Retry
from sluicegate.stages import Router
from sluicegate.testing import chain_of, quiet

BODY = b'{"model":"claude-haiku-4-5","stream":true}'
REQUEST = b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nx-api-key: sk-ant-x\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
OVERLOADED = b"HTTP/1.1 529 Overloaded\r\nContent-Length: 2\r\n\r\n{}"
AT = "api.anthropic.com:443"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


START = chunk(
    b'event: message_start\ndata: {"type":"message_start","message":{"model":"m","usage":{"input_tokens":1}}}\n\n'
)
BLOCK = chunk(b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{}}\n\n')
STOP = chunk(b'event: message_stop\ndata: {"type":"message_stop"}\n\n') + b"0\r\n\r\n"
ERROR = chunk(b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n')


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time of streams: goes on when a test says so."""
    clock = SimpleNamespace(now=1000.0, monotonic=lambda: clock.now, time=lambda: 1.0)
    for module in (retrying, stream, pings):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def chain() -> Iterator[Chain]:
    retry = Retry(attempts=2, backoff=Backoff(start_s=0.001, max_s=0.001))
    with chain_of(Router, settings=quiet(retry=retry)) as chain:
        yield chain


@pytest.fixture
def book(chain: Chain) -> Playbook:
    return Playbook(chain)


def begun(book: Playbook) -> Transcript:
    """A request is on its way."""
    return Transcript(book) >> FromClient(REQUEST) << Dial("api.test:80") << ToServer(BODY)


def chain_timeouts(book: Playbook) -> Any:
    """The time limits of the exchange under way."""
    x = exchange_of(book.flow)
    assert x
    return x.timeouts


def outcome(book: Playbook) -> Any:
    return book.flow.metadata["sluicegate"]["outcome"]


async def test_a_failed_attempt_is_followed_by_another(book: Playbook) -> None:
    """The client sees nothing of the 529; its answer names the number of attempts."""
    await (
        begun(book)
        >> FromServer(OVERLOADED)
        << Hook("sluicegate_failed")
        << ToServer(BODY)
        >> FromServer(SSE + START)
        << ToClient(b"x-sluicegate-attempts: 2")
        >> FromServer(STOP)
        << ToClient(b"message_stop")
    )
    assert outcome(book) == "ok"


async def test_the_turn_of_the_first_target_is_waited_for_once(book: Playbook) -> None:
    """A retry waits as long as its own decision says, and no second time for the first target's turn."""
    asked = book.chain.request

    def request(flow: http.HTTPFlow) -> Any:
        waiting = asked(flow)
        x = exchange_of(flow)
        assert x
        assert x.routing.attempts
        x.routing.attempts.delay_s = 0.001
        return waiting

    book.chain.request = request  # type: ignore[method-assign]
    await (
        Transcript(book)
        >> FromClient(REQUEST)
        << Hook("sluicegate_turn")
        << Dial("api.test:80")
        << ToServer(BODY)
        >> FromServer(OVERLOADED)
        << Hook("sluicegate_failed")
        << ToServer(BODY)
    )


async def test_a_connection_that_ends_is_replaced(book: Playbook) -> None:
    """The next attempt dials."""
    await (
        begun(book)
        >> ServerLeaves()
        << Hook("sluicegate_failed")
        << Dial("api.test:80")
        << ToServer(BODY)
        >> FromServer(SSE + START + STOP)
        << ToClient(b"message_stop")
    )


async def test_the_last_failure_is_the_providers_own(book: Playbook) -> None:
    """After the last attempt the client gets the provider's status and body."""
    await (
        begun(book)
        >> FromServer(OVERLOADED)
        << Hook("sluicegate_failed")
        << ToServer(BODY)
        >> FromServer(b"HTTP/1.1 503 Down\r\nContent-Length: 4\r\n\r\nword")
        << ToClient(b"HTTP/1.1 503")
    )
    assert book.to_client.endswith(b"word")
    assert b"x-sluicegate-attempts: 2" in book.to_client
    assert outcome(book) == "upstream_error"


async def test_an_error_as_the_first_event_is_a_failure(book: Playbook) -> None:
    """A 200 is held back until its first event."""
    await (
        begun(book)
        >> FromServer(SSE)
        >> FromServer(ERROR)
        << Closed("server")
        << Hook("sluicegate_failed")
        << Dial("api.test:80")
        << ToServer(BODY)
        >> FromServer(SSE + START)
        << ToClient(b"message_start")
    )


@pytest.mark.parametrize("fault", [ERROR, b"0\r\n\r\n"])
async def test_an_opening_is_not_an_answer_yet(book: Playbook, fault: bytes) -> None:
    """An error behind message_start, or the end, is a failed attempt: the client has seen nothing of it."""
    await (begun(book) >> FromServer(SSE + START))
    await book.server(fault)
    assert book.to_client == b""
    assert book.hooks.count("sluicegate_failed") == 1
    await (
        Transcript(book)
        >> FromServer(SSE + START)
        << ToClient(b"message_start")
        >> FromServer(BLOCK + STOP)
        << ToClient(b"message_stop")
    )
    assert outcome(book) == "ok"


async def test_an_opening_in_time_is_not_late(book: Playbook, clock: SimpleNamespace) -> None:
    """Where the content takes longer than first_byte_s, the opening goes to the client, and nothing is sent again."""
    await (begun(book) >> FromServer(SSE + START))
    assert b"message_start" not in book.to_client
    clock.now += chain_timeouts(book).first_byte_s + 1
    await (
        Transcript(book)
        >> TimeIsUp()
        << ToClient(b"message_start")
        >> FromServer(BLOCK + STOP)
        << ToClient(b"message_stop")
    )
    assert outcome(book) == "ok"


NO_ANSWERS = {
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.test/\r\nContent-Length: 0\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "null": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\nnull",
    "nothing": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n",
    "a page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
    "a message": b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"content":[]}',
    "an empty stream": SSE + b"0\r\n\r\n",
}


@pytest.mark.parametrize("odd", NO_ANSWERS)
async def test_a_success_without_an_answer_is_a_failed_attempt(book: Playbook, odd: str) -> None:
    """Another attempt follows; after the last one the client gets an error of the gate's own, and none of it."""
    await begun(book)
    await book.server(NO_ANSWERS[odd])
    assert (book.to_client, book.hooks.count("sluicegate_failed")) == (b"", 1)
    await book.server(NO_ANSWERS[odd])
    assert book.hooks.count("sluicegate_failed") == 2
    assert outcome(book) == "failed"
    assert book.to_client.startswith(b"HTTP/1.1 502")
    assert b"elsewhere.test" not in book.to_client


async def test_an_error_about_the_request_is_not_sent_again(book: Playbook) -> None:
    """Under a status of success, too: the client gets it with the status that belongs to it."""
    said = b'{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: too many"}}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(said)
    await (begun(book) >> FromServer(head + said) << ToClient(b"max_tokens: too many"))
    assert book.to_client.startswith(b"HTTP/1.1 400")
    assert outcome(book) == "failed"


async def test_an_error_inside_of_an_answer_is_its_outcome(book: Playbook) -> None:
    """The status is one of success, and the stream ends as streams do: the record still says that it failed."""
    await (
        begun(book)
        >> FromServer(SSE + START + BLOCK)
        << ToClient(b"message_start")
        >> FromServer(ERROR + b"0\r\n\r\n")
        << ToClient(b"overloaded_error")
    )
    assert outcome(book) == "error_in_answer"


async def test_nothing_is_retried_once_the_client_has_an_event(book: Playbook) -> None:
    """What breaks then breaks visibly."""
    await (
        begun(book)
        >> FromServer(SSE + START + BLOCK)
        << ToClient(b"message_start")
        >> FromServer(ERROR)
        << ToClient(b"overloaded_error")
        >> ServerLeaves()
        << Closed("server")
        << ToClient(b"event: error")
        << Closed("client")
    )
    assert outcome(book) == "truncated"


async def test_silence_before_the_answer(book: Playbook, clock: SimpleNamespace) -> None:
    """The deadline passes: the attempt is given up, and another follows."""
    await begun(book)
    clock.now += 10_000
    await (
        Transcript(book)
        >> TimeIsUp()
        << Closed("server")
        << Hook("sluicegate_failed")
        << Dial("api.test:80")
        << ToServer(BODY)
    )


async def test_a_timer_that_rings_early_is_set_again(book: Playbook, clock: SimpleNamespace) -> None:
    """Nothing happens before its time."""
    await (begun(book) >> TimeIsUp() >> FromServer(SSE + START + BLOCK) << ToClient(b"message_start") >> TimeIsUp())


async def test_a_stream_that_stalls_ends_visibly(book: Playbook, clock: SimpleNamespace) -> None:
    """After idle_s: an `event: error`, and the server is told to stop."""
    await (begun(book) >> FromServer(SSE + START + BLOCK) << ToClient(b"message_start"))
    clock.now += 10_000
    await (Transcript(book) >> TimeIsUp() << Closed("server") << ToClient(b"event: error") << Closed("client"))
    assert outcome(book) == "truncated"


async def test_the_body_of_an_error_is_not_waited_for_longer_than_three_seconds(book: Playbook) -> None:
    """What came of it counts."""
    await (
        begun(book)
        >> FromServer(b"HTTP/1.1 529 Overloaded\r\nContent-Length: 100\r\n\r\n{")
        >> TimeIsUp()
        << Closed("server")
        << Hook("sluicegate_failed")
        << Dial("api.test:80")
        << ToServer(BODY)
    )


async def test_a_client_that_leaves_ends_the_attempt(book: Playbook) -> None:
    """The server's connection is closed, no other attempt is made."""
    await (begun(book) >> ClientLeaves() << Closed("server"))
    assert outcome(book) == "client_abort"


async def test_a_ping_commits_the_client_to_a_stream(book: Playbook, clock: SimpleNamespace) -> None:
    """While nothing comes; the answer then goes on behind it, without a second head."""
    await begun(book)
    clock.now += 60
    await (
        Transcript(book)
        >> TimeIsUp("pings")
        << ToClient(b"event: ping")
        >> FromServer(SSE + START + STOP)
        << ToClient(b"message_stop")
    )
    assert book.to_client.count(b"HTTP/1.1") == 1


async def test_a_final_failure_after_a_ping_is_an_event(book: Playbook, clock: SimpleNamespace) -> None:
    """The status is gone: `event: error` with the provider's words, and no clean end."""
    refused = b'{"error":{"message":"no such model"}}'
    await begun(book)
    clock.now += 60
    await (
        Transcript(book)
        >> TimeIsUp("pings")
        << ToClient(b"event: ping")
        >> FromServer(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(refused) + refused)
        << ToClient(b"HTTP 404: no such model")
        << Closed("client")
    )


async def test_no_ping_says_that_all_is_well_while_the_upstream_cannot_be_reached(
    book: Playbook, clock: SimpleNamespace
) -> None:
    """After a reset, until the next attempt is on its way."""
    rung = []

    async def ring(_: Any) -> None:
        clock.now += 60
        rung.append(True)
        await book.ring("pings")

    asked = book.chain.sluicegate_failed

    async def failed(attempt: FailedAttempt) -> None:
        await ring(attempt)
        await asked(attempt)

    book.chain.sluicegate_failed = failed  # type: ignore[method-assign]
    await (begun(book) >> ServerLeaves() << Hook("sluicegate_failed") << Dial("api.test:80") << ToServer(BODY))
    assert rung
    clock.now += 60
    await (Transcript(book) >> TimeIsUp("pings") << ToClient(b"event: ping"))


async def test_without_a_decision_nothing_is_sent(book: Playbook) -> None:
    """The hook does not run, or raises: the client gets the failure."""

    async def nothing(_: FailedAttempt) -> None: ...

    book.chain.sluicegate_failed = nothing  # type: ignore[method-assign]
    await (begun(book) >> FromServer(OVERLOADED) << Hook("sluicegate_failed") << ToClient(b"HTTP/1.1 529"))


async def test_a_decision_is_the_chains_and_a_bug_in_it_gives_up(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an alarm; one attempt was made."""
    book = Playbook(chain)
    await begun(book)
    x = exchange_of(book.flow)
    assert x

    def broken(*_: object) -> None:
        raise KeyError

    monkeypatch.setattr(type(x.routing.attempts), "again", broken)
    attempt = FailedAttempt(book.flow, retrying.Failure("reset", "it broke"))
    await chain.sluicegate_failed(attempt)
    assert attempt.decision == GiveUp()
    assert x.routing.release is None
    assert x.routing.attempts_made == 0
    assert chain.services.alarms["chain.failed"] == 1


async def test_an_answer_in_place_of_an_attempt(book: Playbook) -> None:
    """The next target needs no request: its answer goes to the client."""

    async def failed(attempt: FailedAttempt) -> None:
        attempt.decision = retrying.Answer(http.Response.make(200, b'{"input_tokens":5}'))

    book.chain.sluicegate_failed = failed  # type: ignore[method-assign]
    await (begun(book) >> FromServer(OVERLOADED) << Hook("sluicegate_failed") << ToClient(b'{"input_tokens":5}'))


async def test_a_timer_in_a_state_that_has_none_is_a_bug(book: Playbook) -> None:
    """It ends visibly: the exchange is `internal`, the client gets a 500."""
    await begun(book)
    (armed,) = {s for s in book.layer.streams.values() if isinstance(s, retrying.RetryingStream)}
    armed._state.now = "deciding"
    await (Transcript(book) >> TimeIsUp() << Closed("server") << ToClient(b"HTTP/1.1 500") << Closed("client"))
    assert outcome(book) == "internal"
    assert all(stream._deadlines._timer is None for stream in (armed,))


async def test_the_gate_stops(book: Playbook) -> None:
    """A waiting client is told, natively; nothing is sent again."""
    await begun(book)
    x = exchange_of(book.flow)
    assert x
    x.interrupt("the gate is stopping")
    for _ in range(3):
        await asyncio.sleep(0)
    assert book.to_client.startswith(b"HTTP/1.1 503")
    assert b"the gate is stopping" in book.to_client


def test_the_diagram_is_the_table() -> None:
    """The docstring of the state machine shows every transition, and no other."""
    drawn = [line.strip() for line in (retrying.__doc__ or "").splitlines() if "►" in line]
    assert drawn == [line.strip() for line in attempt_states.diagram().splitlines()]
