"""Exchange: what it keeps to itself, who waits for its end, its facts."""

import asyncio
import pickle

from sluicegate.exchange.exchange import attach, exchange_of, new_id
from sluicegate.exchange.release import Target
from sluicegate.testing import make_exchange, make_flow

TARGET = Target(True, "api.anthropic.com", 443)


def test_the_exchange_does_not_go_with_a_copy() -> None:
    """A copy or the saved state of a flow has no exchange, and so no credentials."""
    flow = make_flow()
    x = make_exchange(flow, client_credentials=((b"x-api-key", b"sk-secret-value"),))
    attach(flow, x)
    assert exchange_of(flow) is x
    assert exchange_of(flow.copy()) is None
    assert b"sk-secret" not in pickle.dumps(flow.get_state())
    attach(flow, None)
    assert exchange_of(flow) is None


def test_reprs_hold_no_credential() -> None:
    """What may end up in a log or a traceback names no secret."""
    x = make_exchange(client_credentials=((b"x-api-key", b"sk-secret-value"),))
    x.routing.target = Target(True, "h", 1, credential=lambda _: [(b"x-api-key", b"sk-secret-value")])
    assert "sk-secret" not in repr(x) + repr(x.routing.target) + str(x.routing.target)


async def test_everybody_who_waits_learns_that_the_client_has_gone() -> None:
    """Waiting before and after the fact returns; those who stop waiting leave nothing behind."""
    x = make_exchange()
    waiting = [asyncio.ensure_future(x.life.until_gone()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    assert len(x.life._gone_waiters) == 2
    x.life.client_left()
    x.life.client_left()
    await asyncio.wait_for(asyncio.gather(*waiting[1:]), 1)
    await asyncio.wait_for(x.life.until_gone(), 1)
    assert x.life.gone
    assert not x.life._gone_waiters


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
