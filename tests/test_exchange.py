"""Exchange, Release, ByteSource, KeptBody."""

import asyncio
import pickle

import pytest

from sluicegate.exchange import (
    ByteSource,
    Call,
    KeptBody,
    Release,
    Target,
    attach,
    exchange_of,
    new_id,
    snapshot,
)
from sluicegate.testing import make_exchange, make_flow

TARGET = Target(True, "api.anthropic.com", 443)


@pytest.mark.parametrize(
    "change",
    [
        lambda r: setattr(r, "method", "PUT"),
        lambda r: setattr(r, "path", "/v1/other"),
        lambda r: setattr(r, "host", "evil.example"),
        lambda r: setattr(r, "port", 80),
        lambda r: setattr(r, "scheme", "http"),
        lambda r: setattr(r, "content", b"other"),
        lambda r: r.headers.add("x", "y"),
        lambda r: r.headers.__setitem__("host", "other"),
        lambda r: setattr(r.data, "content", None),
    ],
)
def test_a_release_covers_the_request_as_it_was(change) -> None:  # type: ignore[no-untyped-def]
    """Whatever is changed after the release, it does not cover the request any more."""
    flow = make_flow(body=b"{}")
    release = Release(TARGET, snapshot(flow.request))
    assert release.covers(flow.request)
    change(flow.request)
    assert not release.covers(flow.request)


def test_a_release_covers_an_equal_request() -> None:
    """The comparison is by value: a copied flow with the same bytes is the same request."""
    flow = make_flow(body=b"{}")
    assert Release(TARGET, snapshot(flow.request)).covers(flow.copy().request)


def test_the_exchange_does_not_go_with_a_copy() -> None:
    """A copy or the saved state of a flow has no exchange, and so no credentials."""
    flow = make_flow()
    x = make_exchange(flow, presented=((b"x-api-key", b"sk-secret-value"),))
    attach(flow, x)
    assert exchange_of(flow) is x
    assert exchange_of(flow.copy()) is None
    assert b"sk-secret" not in pickle.dumps(flow.get_state())
    attach(flow, None)
    assert exchange_of(flow) is None


def test_reprs_hold_no_credential() -> None:
    """What may end up in a log or a traceback names no secret."""
    x = make_exchange(presented=((b"x-api-key", b"sk-secret-value"),))
    x.target = Target(True, "h", 1, credential=lambda _: [(b"x-api-key", b"sk-secret-value")])
    assert "sk-secret" not in repr(x) + repr(x.target) + str(x.target)


async def test_a_source_hands_over_all_that_came() -> None:
    """Chunks come in order; the end is told with the last of them."""
    source = ByteSource()
    source.write(b"a")
    source.write(b"")
    source.write(b"b")
    await asyncio.wait_for(source.wait(), 1)
    assert source.take() == ([b"a", b"b"], False)
    waiting = asyncio.ensure_future(source.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    source.write(b"c")
    source.close()
    await asyncio.wait_for(waiting, 1)
    assert source.take() == ([b"c"], True)
    source.write(b"late")
    assert source.take() == ([], True)


async def test_a_source_is_bounded() -> None:
    """A reader that does not keep up loses the stream, not our memory; the writer is told once."""
    source, closed = ByteSource(limit=10), []
    source.on_close = lambda: closed.append(True)
    source.write(b"x" * 10)
    source.write(b"y")
    assert source.closed
    assert source.error
    source.close("again")
    assert closed == [True]
    assert source.take() == ([b"x" * 10], True)


async def test_taking_makes_room() -> None:
    """The limit is on what waits, not on what has passed."""
    source = ByteSource(limit=10)
    for _ in range(5):
        source.write(b"x" * 10)
        source.take()
    assert not source.closed


def test_a_kept_body_is_whole_or_not_there() -> None:
    """A part of a body is never shown as if it were all."""
    kept = KeptBody(limit=5)
    kept.add(b"abc")
    assert kept.body == b"abc"
    kept.add(b"def")
    kept.add(b"")
    kept.add(b"g")
    assert kept.body is None


async def test_everybody_who_waits_learns_that_the_client_has_gone() -> None:
    """Waiting before and after the fact returns; those who stop waiting leave nothing behind."""
    x = make_exchange()
    waiting = [asyncio.ensure_future(x.until_gone()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    assert len(x._gone_waiters) == 2
    x.client_gone()
    x.client_gone()
    await asyncio.wait_for(asyncio.gather(*waiting[1:]), 1)
    await asyncio.wait_for(x.until_gone(), 1)
    assert x.gone
    assert not x._gone_waiters


def test_a_call_settles_once() -> None:
    """Whoever settles it, those who wait are told one time."""
    told: list[Call] = []
    call = Call(TARGET, 0.0, on_settle=[told.append])
    call.settle()
    call.settle()
    assert told == [call]


def test_facts_follow_the_body() -> None:
    """The body is read once; a changed body is read again; other surfaces are not read at all."""
    flow = make_flow(body={"model": "a"})
    x = make_exchange(flow)
    first = x.facts
    assert first is not None
    assert first.model == "a"
    assert x.facts is first
    flow.request.content = b'{"model":"b"}'
    assert x.facts is not None
    assert x.facts.model == "b"
    assert make_exchange(flow, surface="other").facts is None


def test_ids_sort_by_time() -> None:
    """Ids are unique and begin with the time."""
    ids = [new_id() for _ in range(100)]
    assert len(set(ids)) == 100
    assert [i[:14] for i in ids] == sorted(i[:14] for i in ids)
