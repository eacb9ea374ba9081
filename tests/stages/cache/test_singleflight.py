"""SharedCall and Singleflight: who shares a call, what subscribers get, and when an abandoned call is cancelled."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from mitmproxy import http

from sluicegate.core.errors import Refused
from sluicegate.core.wire.sse import PING
from sluicegate.exchange.bodies import ByteSource
from sluicegate.exchange.exchange import Exchange
from sluicegate.stages.cache.singleflight import MAX_REPLAY_BYTES, SharedCall, Singleflight
from sluicegate.testing import make_exchange

NONE: frozenset[str] = frozenset()


@pytest.fixture
def leader() -> Exchange:
    return make_exchange()


@pytest.fixture
def call(leader: Exchange) -> SharedCall:
    return SharedCall(leader, NONE)


def head(status: int = 200, **fields: str) -> http.Response:
    response = http.Response.make(status, b"", {"content-type": "text/event-stream"})
    for name, value in fields.items():  # not given to make(), which drops an encoding that it does not know
        response.headers[name.replace("_", "-")] = value
    return response


async def subscribed(call: SharedCall, x: Exchange | None = None) -> ByteSource:
    got = await call.subscribe(x or make_exchange(), 0)
    assert got
    return got[1]


def read(source: ByteSource) -> bytes:
    return b"".join(source.take()[0])


async def test_a_late_subscriber_gets_the_body_from_its_first_byte(call: SharedCall) -> None:
    """The bytes before it subscribed, then the rest with the others, then the end."""
    call.begin(head())
    call.write(b"one ")
    first = await subscribed(call)
    call.write(b"two ")
    second = await subscribed(call)
    call.write(b"three")
    assert call.followers == 2
    call.finish(None)
    for source in (first, second):
        assert read(source) == b"one two three"
        assert (source.closed, source.error) == (True, None)


async def test_a_subscriber_waits_for_the_head(call: SharedCall) -> None:
    """It counts as a follower meanwhile; it gets a copy of the head without the leader's own headers."""
    waiting = asyncio.ensure_future(call.subscribe(make_exchange(), 0))
    await asyncio.sleep(0)
    assert call.wanted
    assert not waiting.done()
    call.begin(head(request_id="req_1", anthropic_ratelimit_tokens_limit="5"))
    got = await waiting
    assert got
    assert got[0].status_code == 200
    assert "anthropic-ratelimit-tokens-limit" not in got[0].headers
    assert got[0].headers["x-sluicegate-original-request-id"] == "req_1"
    got[0].headers["x-mine"] = "1"
    assert "x-mine" not in (await call.subscribe(make_exchange(), 0))[0].headers  # type: ignore[index]


async def test_a_call_that_fails_before_its_head_is_refused_to_all(call: SharedCall) -> None:
    """Each waiting subscriber raises the leader's error, with its status."""
    waiting = [asyncio.ensure_future(call.subscribe(make_exchange(), 0)) for _ in range(2)]
    await asyncio.sleep(0)
    call.finish(Refused(529, "overloaded"))
    for failed in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(failed, Refused)
        assert (failed.status, failed.message) == (529, "overloaded")


async def test_a_call_that_breaks_off_breaks_off_for_all(call: SharedCall) -> None:
    """Subscribers get the bytes so far, and an end with the error, never a clean one."""
    call.begin(head())
    source = await subscribed(call)
    call.write(b"half")
    call.finish(Refused(502, "the upstream went away"))
    assert read(source) == b"half"
    assert source.error == "the upstream went away"


async def test_the_leader_leaves_while_a_subscriber_reads(call: SharedCall, leader: Exchange) -> None:
    """The call is wanted, so it is not interrupted; the subscriber gets the whole answer."""
    call.begin(head())
    source = await subscribed(call)
    leader.life.client_left()
    leader.life.detached = True
    assert call.wanted
    assert leader.life.interrupted is None
    call.write(b"whole")
    call.finish(None)
    assert read(source) == b"whole"
    assert source.error is None


async def test_the_last_subscriber_of_a_detached_call_cancels_it(call: SharedCall, leader: Exchange) -> None:
    """Not the first of two, only the last."""
    call.begin(head())
    sources = [await subscribed(call) for _ in range(2)]
    leader.life.detached = True
    call.unsubscribe(sources[0])
    assert leader.life.interrupted is None
    call.unsubscribe(sources[1])
    assert leader.life.interrupted == "all clients disconnected"
    assert not call.wanted


async def test_a_waiting_subscriber_that_leaves_cancels_a_detached_call(call: SharedCall, leader: Exchange) -> None:
    """It gets no answer; it was the last one that wanted any."""
    x = make_exchange()
    leader.life.detached = True
    waiting = asyncio.ensure_future(call.subscribe(x, 0))
    await asyncio.sleep(0)
    assert leader.life.interrupted is None
    x.life.client_left()
    assert await waiting is None
    assert leader.life.interrupted == "all clients disconnected"


async def test_a_subscriber_that_leaves_does_not_disturb_the_leader(call: SharedCall, leader: Exchange) -> None:
    """While the leader's client is there, its call goes on without subscribers; the one that left gets nothing more."""
    call.begin(head())
    source = await subscribed(call)
    call.unsubscribe(source)
    call.unsubscribe(source)
    call.write(b"more")
    assert read(source) == b""
    assert leader.life.interrupted is None


async def test_a_call_that_has_ended_is_not_cancelled(call: SharedCall, leader: Exchange) -> None:
    """The last subscriber ends after the leader: there is nothing left to interrupt."""
    call.begin(head())
    source = await subscribed(call)
    leader.life.detached = True
    call.finish(None)
    leader.life.close()
    call.unsubscribe(source)
    assert leader.life.interrupted is None


async def test_an_encoded_answer_is_decoded_for_subscribers(call: SharedCall) -> None:
    """However it is cut; the head does not name the encoding."""
    packed = gzip.compress(b"plain text")
    call.begin(head(content_encoding="gzip"))
    got = await call.subscribe(make_exchange(), 0)
    assert got
    assert "content-encoding" not in got[0].headers
    for i in range(0, len(packed), 3):
        call.write(packed[i : i + 3])
    call.finish(None)
    assert read(got[1]) == b"plain text"
    assert got[1].error is None


@pytest.mark.parametrize("body", [b"not gzip at all", gzip.compress(b"cut" * 100)[:-9]], ids=["wrong", "cut off"])
async def test_an_answer_that_cannot_be_decoded_fails_for_subscribers(call: SharedCall, body: bytes) -> None:
    """The end is an error, although the leader's bytes came to a clean end."""
    call.begin(head(content_encoding="gzip"))
    source = await subscribed(call)
    call.write(body)
    call.finish(None)
    assert source.error == "cannot decode the provider's answer"


async def test_an_unknown_encoding_is_left_to_the_client(call: SharedCall) -> None:
    """Head and bytes are passed on unchanged."""
    call.begin(head(content_encoding="x-own"))
    got = await call.subscribe(make_exchange(), 0)
    assert got
    assert got[0].headers["content-encoding"] == "x-own"
    call.write(b"\x00\x01")
    assert read(got[1]) == b"\x00\x01"


async def test_a_large_answer_accepts_no_more_subscribers(call: SharedCall) -> None:
    """Those who read it already get all of it; nothing is kept for others."""
    call.begin(head())
    early = await subscribed(call)
    chunk = b"x" * (1 << 20)
    for _ in range(MAX_REPLAY_BYTES // len(chunk)):
        call.write(chunk)
        assert read(early) == chunk
    assert call.accepts_subscribers
    call.write(b"y")
    assert not call.accepts_subscribers
    assert read(early) == b"y"
    late = await subscribed(call)
    assert read(late) == b""
    assert late.error == "the shared answer is too large to be replayed from the start"


async def test_a_stream_is_pinged_until_the_answer_begins(call: SharedCall) -> None:
    """After ping_s the subscriber is committed to a stream: pings, then the answer from its first byte."""
    got = await call.subscribe(make_exchange(), 0.001)
    assert got
    response, source = got
    assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream")
    await source.wait()
    assert read(source).startswith(PING)
    assert call.wanted
    call.begin(head())
    call.write(b"data: x\n\n")
    received = b""
    while b"data: x\n\n" not in received:
        await source.wait()
        received += read(source)
    assert received.replace(PING, b"") == b"data: x\n\n"
    call.finish(None)
    assert source.error is None
    assert source.closed


@pytest.mark.parametrize(
    ("status", "kind", "error", "message"),
    [
        (200, "application/json", None, "the provider did not return a stream"),
        (529, "text/event-stream", None, "the provider did not return a stream"),
        (None, "", Refused(529, "overloaded"), "overloaded"),
    ],
)
async def test_a_pinged_stream_ends_with_an_error_if_none_follows(
    call: SharedCall, status: int | None, kind: str, error: Refused | None, message: str
) -> None:
    """A document, an error, or a failed call: the committed client gets an error, never a clean end."""
    got = await call.subscribe(make_exchange(), 0.001)
    assert got
    if status:
        call.begin(head(status, content_type=kind))
    else:
        call.finish(error)
    ended = asyncio.Event()
    got[1].on_close = ended.set
    await asyncio.wait_for(ended.wait(), 10)
    assert got[1].error == message


async def test_a_pinged_subscriber_that_leaves_cancels_a_detached_call(call: SharedCall, leader: Exchange) -> None:
    """Its pings stop, and it no longer counts."""
    x = make_exchange()
    assert await call.subscribe(x, 0.001)
    leader.life.detached = True
    interrupted = asyncio.Event()
    leader.life.on_interrupt = interrupted.set
    x.life.client_left()
    await asyncio.wait_for(interrupted.wait(), 10)
    assert call.followers == 0


async def test_who_joins_a_call(leader: Exchange) -> None:
    """The same key with the same placeholders follows; another key, other placeholders, or a call that has ended do not."""
    singleflight, x = Singleflight(), make_exchange()
    call, leads = singleflight.join("k", leader, frozenset({"<A_1>"}))
    assert leads
    assert singleflight.join("k", x, frozenset({"<A_1>"})) == (call, False)
    for key, placeholders in (("other", frozenset({"<A_1>"})), ("k", NONE)):
        other, leads = singleflight.join(key, x, placeholders)
        assert leads
        assert other is not call
        assert other.leader is x
    assert singleflight.join("k", x, frozenset({"<A_1>"})) == (call, False)
    call.finish(None)
    singleflight.remove("k", call)
    again, leads = singleflight.join("k", x, frozenset({"<A_1>"}))
    assert leads
    assert again is not call


async def test_a_call_whose_leader_has_left_is_not_joined(leader: Exchange) -> None:
    """A request that comes later makes a call of its own."""
    singleflight = Singleflight()
    call, _ = singleflight.join("k", leader, NONE)
    leader.life.client_left()
    own, leads = singleflight.join("k", make_exchange(), NONE)
    assert leads
    assert own is not call


async def test_followers_are_counted_over_all_calls(leader: Exchange) -> None:
    """Those who wait and those who read; an ended call counts no more, and removing another's entry does nothing."""
    singleflight = Singleflight()
    one, _ = singleflight.join("a", leader, NONE)
    two, _ = singleflight.join("b", make_exchange(), NONE)
    one.begin(head())
    await subscribed(one)
    waiting = asyncio.ensure_future(two.subscribe(make_exchange(), 0))
    await asyncio.sleep(0)
    assert singleflight.followers() == 2
    singleflight.remove("a", two)
    assert singleflight.followers() == 2
    singleflight.remove("a", one)
    assert singleflight.followers() == 1
    waiting.cancel()
