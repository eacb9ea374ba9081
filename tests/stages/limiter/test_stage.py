"""Limiter: reserves before a call, settles after it, and refuses with what a client can act on."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http

from kits.limiterkit import MODEL, Rig, Using, answer, config, event, refused, start
from kits.limitskit import SlowStore, until
from sluicegate.core.limits.reservations import ReserveRequest, Verdict
from sluicegate.core.limits.rules import NANO
from sluicegate.exchange.call import Failure
from sluicegate.exchange.exchange import Exchange
from sluicegate.gate.policy import Policy
from sluicegate.settings.identity import Identity
from sluicegate.settings.limits import Limits
from sluicegate.settings.providers import Provider
from sluicegate.settings.retry import (
    Retry,
)
from sluicegate.settings.routes import (
    Route,
    Target,
)
from sluicegate.stages import (
    Audit,
    Limiter,
    Router,
)
from sluicegate.stores.limits import storage_from_url
from sluicegate.testing import (
    chain_of,
    descend,
    fail,
    make_flow,
    planted,
    quiet,
    send_answer,
    the_exchange,
)

# -- idle


def test_without_limits_there_is_no_stage() -> None:
    """It is not in the policy at all; with a limit, or with virtual keys that may bring one, it is."""
    with chain_of(Audit, Limiter, Router, settings=quiet()) as chain:
        assert chain.policy
        assert [s.name for s in chain.policy.stages] == ["audit", "router"]
    assert Limiter.idle(quiet(limits=Limits(strict=True, queue_s=5.0)))
    assert not Limiter.idle(quiet(identity=Identity(mode="keys")))
    assert not Limiter.idle(config({"runaway": {"same_request": 5}}))


async def test_a_caller_without_limits_goes_through() -> None:
    """Nothing is reserved, and no header is added."""
    with Using({"teams": {"other": {"concurrency": 1}}}) as rig:
        made = await rig.serve()
        assert made.response is not None
        assert not [h for h in made.response.headers if h.startswith(("anthropic-ratelimit", "x-sluicegate-b"))]


# -- rates


async def test_a_rate_that_is_used_up() -> None:
    """A native 429 with retry-after, should-retry, the limit and its owner, and the caller's own headers."""
    with Using({"teams": {"a": {"rpm": 5, "burst": 2}}}) as rig:
        for left in ("1", "0"):
            made = await rig.serve()
            assert made.response is not None
            assert made.response.status_code == 200
            assert made.response.headers["anthropic-ratelimit-requests-remaining"] == left
        made = await rig.ask()
        assert made.response is not None
        status, kind, message = refused(made)
        assert (status, kind) == (429, "rate_limit_error")
        assert message.startswith(
            "the team a has reached its limit of 5 requests per minute (limits.teams.a.rpm); capacity is available again"
        )
        assert 1 <= int(made.response.headers["retry-after"]) <= 12
        assert made.response.headers["x-should-retry"] == "true"
        assert made.response.headers["anthropic-ratelimit-requests-limit"] == "2"
        assert made.response.headers["anthropic-ratelimit-requests-remaining"] == "0"
        send_answer(rig.chain, made)
        record = made.metadata["sluicegate"]
        assert (record["outcome"], record["limit"]) == ("refused", "limits.teams.a.rpm")
        assert rig.services.stats.snapshot()["limited"] == {"limits.teams.a.rpm": 1}


async def test_the_providers_headers_show_the_shared_account_only_where_the_caller_has_no_limit() -> None:
    """The caller's own limits replace the provider's headers of the same name."""
    given = {
        "content-type": "application/json",
        "anthropic-ratelimit-requests-remaining": "3999",
        "anthropic-ratelimit-tokens-remaining": "80000",
    }
    with Using({"default": {"rpm": 10}}) as rig:
        made = await rig.ask()
        send_answer(rig.chain, made, [answer()], headers=given)
        assert made.response is not None
        assert made.response.headers["anthropic-ratelimit-requests-remaining"] == "9"
        assert made.response.headers["anthropic-ratelimit-tokens-remaining"] == "80000"


async def test_tokens_are_settled_without_reads_from_the_cache() -> None:
    """Estimated first; then what the provider counted, cache writes as input, reads not at all."""
    still = storage_from_url("memory", clock=lambda: 1_800_000_000_000)  # nothing drains meanwhile
    with Using({"default": {"input_tpm": 10_000, "output_tpm": 10_000, "tpm": 10_000}}, store_made=still) as rig:
        made = await rig.ask()
        assert await rig.used("key:id1:output_tpm") == 100  # max_tokens is less than the cold estimate
        send_answer(rig.chain, made, [answer(1000, 70, cache_read_input_tokens=90_000, cache_creation_input_tokens=500)])
        keys = ("input_tpm", "output_tpm", "tpm")
        used = [await rig.used(f"key:id1:{key}") for key in keys]
        assert used == [1500, 70, 1570]


async def test_concurrency() -> None:
    """As many concurrent calls as the limit; each one releases its share, however it ends."""
    with Using({"default": {"concurrency": 2}}) as rig:
        first, second = await rig.ask(), await rig.ask()
        third = await rig.ask()
        status, _, message = refused(third)
        assert status == 429
        assert "2 concurrent calls (limits.default.concurrency)" in message
        send_answer(rig.chain, third)
        send_answer(rig.chain, first, [answer()])
        assert (await rig.serve()).response.status_code == 200  # type: ignore[union-attr]
        fail(rig.chain, second)
        assert await rig.used("key:id1:concurrency") == 0


@pytest.mark.parametrize("path", ["/v1/messages/count_tokens", "/v1/files"])
async def test_what_is_no_inference_counts_as_a_request(path: str) -> None:
    """Tokens and money are not touched."""
    with Using({"default": {"rpm": 10, "tpm": 10, "budget_usd": {"day": 0.000001}}}) as rig:
        await rig.serve(b'{"input_tokens": 5000}', path=path)
        assert await rig.used("key:id1:rpm") == 1
        assert await rig.used("key:id1:tpm") == 0
        assert await rig.used("key:id1:usd:day") == 0


@pytest.mark.parametrize("limits", [{"default": {"rpm": 400}}, {}])
async def test_what_remains_of_a_shared_account_is_hidden(limits: dict[str, Any]) -> None:
    """Users of virtual keys do not see what others have used; a client with its own credential sees its own account's."""
    theirs = {
        "Anthropic-RateLimit-Tokens-Remaining": "79000",
        "anthropic-ratelimit-requests-remaining": "7",
        "x-ratelimit-remaining-tokens": "5",
        "request-id": "req_1",
    }
    with Using(limits, identity=Identity(mode="keys")) as rig:
        made = await rig.ask()
        send_answer(rig.chain, made, [answer()], headers=theirs)
        assert made.response is not None
        assert made.response.headers.get("anthropic-ratelimit-requests-remaining") == ("399" if limits else None)
        assert "anthropic-ratelimit-tokens-remaining" not in made.response.headers
        assert "x-ratelimit-remaining-tokens" not in made.response.headers
        assert made.response.headers["request-id"] == "req_1"
    with Using({"default": {"rpm": 400}}) as rig:
        made = await rig.ask()
        send_answer(rig.chain, made, [answer()], headers=theirs)
        assert made.response is not None
        assert made.response.headers["anthropic-ratelimit-tokens-remaining"] == "79000"
        assert made.response.headers["anthropic-ratelimit-requests-remaining"] == "399"


# -- budgets


async def test_a_budget_is_settled_to_the_billionth() -> None:
    """Cache reads and writes at their own prices."""
    with Using({"teams": {"a": {"budget_usd": {"day": 1}}}}) as rig:
        await rig.serve(answer(1000, 70, cache_read_input_tokens=90_001, cache_creation_input_tokens=500))
        cost = 1000 * 1.0 + 70 * 5.0 + 90_001 * 0.1 + 500 * 1.25
        assert await rig.used("team:a:usd:day") == round(cost * NANO / 1_000_000)


async def test_a_budget_that_is_spent() -> None:
    """402 with the usage and the reset; if that is hours away, a retry does not help."""
    with Using({"teams": {"a": {"budget_usd": {"month": 0.01}}}}) as rig:
        await rig.serve(answer(0, 1990))
        made = await rig.ask()
        status, kind, message = refused(made)
        assert (status, kind) == (402, "billing_error")
        assert (
            "the team a has used $0.0100 of its budget of $0.0100 for this month (limits.teams.a.budget_usd.month)"
            in message
        )
        assert made.response is not None
        assert made.response.headers["x-should-retry"] in ("false", "true")  # true in the last minute of a month
        send_answer(rig.chain, made)
        assert (await rig.serve(path="/v1/messages/count_tokens")).response.status_code == 200  # type: ignore[union-attr]


async def test_a_warning_before_it_is_spent() -> None:
    """From 80% on, a header on each answer and one alarm."""
    with Using({"teams": {"a": {"budget_usd": {"day": 0.01}}}}) as rig:
        made = await rig.serve(answer(0, 1600))
        assert made.response is not None
        assert "x-sluicegate-budget" not in made.response.headers
        for _ in range(2):
            made = await rig.serve(answer(0, 0))
            assert made.response is not None
            assert made.response.headers["x-sluicegate-budget"] == "85% of day"
        assert rig.services.alarms == {"limits.budget": 1}


async def test_the_estimate_learns() -> None:
    """1,024 output tokens without earlier answers, then the 95th percentile of those of this key and model."""
    body = {"model": MODEL, "max_tokens": 9000}
    with Using({"default": {"budget_tokens": {"day": 100_000}}}) as rig:
        made = await rig.ask(body)
        read = await rig.used("key:id1:tokens:day") - 1024
        assert read == -(-len(made.request.content or b"") // 4)
        send_answer(rig.chain, made, [answer(0, 333)])
        await rig.ask(body)
        assert await rig.used("key:id1:tokens:day") == 333 + 333 + read


async def test_strict_reserves_the_worst() -> None:
    """A token for each byte at the highest price, and all of max_tokens."""
    with Using({"strict": True, "default": {"budget_usd": {"day": 9}, "output_tpm": 10**6}}) as rig:
        made = await rig.ask({"model": MODEL, "max_tokens": 64_000})
        size = len(made.request.content or b"") + 1000
        assert await rig.used("key:id1:usd:day") == round((size * 2.0 + 64_000 * 5.0) * 1.1 * NANO / 1_000_000)
        assert await rig.used("key:id1:output_tpm") == pytest.approx(64_000, rel=0.05)


async def test_a_model_without_a_price() -> None:
    """It counts as free, with an alarm; in strict mode, where that could overshoot, it is refused."""
    body = {"model": "nobody-knows-1"}
    with Using({"default": {"budget_usd": {"day": 1}}}) as rig:
        await rig.serve(answer(model="nobody-knows-1"), body)
        assert rig.services.alarms["limits.unpriced"] == 1
    with Using({"strict": True, "default": {"budget_usd": {"day": 1}}}) as rig:
        assert refused(await rig.ask(body))[:2] == (403, "permission_error")


# -- how calls end


def upstream_error(rig: Rig, flow: http.HTTPFlow) -> None:
    send_answer(rig.chain, flow, [b'{"type":"error","error":{"type":"overloaded_error"}}'], status=529)


def connect_error(rig: Rig, flow: http.HTTPFlow) -> None:
    x = the_exchange(flow)
    x.routing.release, x.routing.failed_attempts = None, [{"cause": "connect"}]
    fail(rig.chain, flow)


def aborted_before_a_word(rig: Rig, flow: http.HTTPFlow) -> None:
    fail(rig.chain, flow, by_client=True)


def aborted_in_the_middle(rig: Rig, flow: http.HTTPFlow) -> None:
    flow.response = http.Response.make(200, b"", {"content-type": "text/event-stream"})
    rig.chain.responseheaders(flow)
    the_exchange(flow).taps(start(30))
    fail(rig.chain, flow, by_client=True)


def an_error_first(rig: Rig, flow: http.HTTPFlow) -> None:
    send_answer(
        rig.chain, flow, [event("error", error={"type": "overloaded_error"})], headers={"content-type": "text/event-stream"}
    )


def denied_at_the_seal(rig: Rig, flow: http.HTTPFlow) -> None:
    the_exchange(flow).ending.outcome = "denied"
    fail(rig.chain, flow)


@pytest.mark.parametrize(
    ("end", "requests", "tokens"),
    [
        (upstream_error, 1, 0),
        (connect_error, 0, 0),
        (aborted_before_a_word, 1, 113),
        (aborted_in_the_middle, 1, 130),
        (an_error_first, 1, 0),
        (denied_at_the_seal, 0, 0),
    ],
)
async def test_only_what_was_never_sent_is_free(end: Callable[[Rig, Any], None], requests: int, tokens: int) -> None:
    """A call that may have been sent is charged its estimate; known usage replaces that part of it."""
    with Using({"default": {"rpm": 1, "budget_tokens": {"day": 1000}, "budget_usd": {"day": 1}}}) as rig:
        made = await rig.ask({"model": MODEL, "max_tokens": 100, "x": ""})
        assert len(made.request.content or b"") in range(49, 53)
        end(rig, made)
        assert await rig.used("key:id1:rpm") == requests
        assert await rig.used("key:id1:tokens:day") == tokens
        money = {0: 0, 113: 13_000 + 500_000, 130: 30_000 + 500_000}
        assert await rig.used("key:id1:usd:day") == money[tokens]


async def test_a_hit_counts_as_a_request_only() -> None:
    """An answer from the cache costs a request only; a refusal by a later stage releases everything."""

    def hit(x: Exchange) -> None:
        x.cache_status, x.answer = "HIT", http.Response.make(200, answer())

    for does, requests in ((hit, 1), (lambda x: setattr(x, "answer", http.Response.make(400)), 0)):
        cache = planted("cache", [], does={"request": does})
        with Using({"default": {"rpm": 1, "tpm": 9999, "budget_usd": {"day": 1}}}, cache) as rig:
            made = await rig.ask()
            send_answer(rig.chain, made)
            used = [await rig.used(f"key:id1:{key}") for key in ("rpm", "tpm", "usd:day")]
            assert used == [requests, 0, 0]


async def test_the_provider_that_served_is_charged() -> None:
    """The first target's limit is checked; after a failover the other provider's counters are charged."""
    providers = {name: Provider(kind="anthropic", base_url=f"https://{name}.example") for name in ("one", "two")}
    routes = (Route(model="*", targets=(Target(provider="one"), Target(provider="two"))),)
    limits = {"providers": {"one": {"budget_tokens": {"day": 1000}}, "two": {"budget_tokens": {"day": 1000}}}}
    with Using(limits, providers=providers, routes=routes, retry=Retry(attempts=2)) as rig:
        made = await rig.ask()
        x = the_exchange(made)
        assert x.routing.attempts
        assert x.routing.call
        assert await x.routing.attempts.again(x, Failure("connect", "refused"))
        assert x.routing.target
        x.routing.call.target = x.routing.target
        send_answer(rig.chain, made, [answer(100, 50)])
        assert rig.chain.policy
        limiter = next(s for s in rig.chain.policy.stages if isinstance(s, Limiter))
        levels = await rig.reservations.peek([*limiter.rules.of_provider("one"), *limiter.rules.of_provider("two")])
        assert [level.used for level in levels or ()] == [0, 150]


# -- models


async def test_forbidden_models() -> None:
    """403, not to be retried, with the list of allowed models."""
    with Using({"teams": {"a": {"models": ["claude-haiku-*"]}}}) as rig:
        assert (await rig.serve()).response.status_code == 200  # type: ignore[union-attr]
        made = await rig.ask({"model": "claude-opus-4-1"})
        assert refused(made) == (
            403,
            "permission_error",
            "the team a may not use the model 'claude-opus-4-1'; limits.teams.a.models allows claude-haiku-*",
        )
        assert made.response is not None
        assert made.response.headers["x-should-retry"] == "false"
        assert refused(await rig.ask(b"no json"))[0] == 403
        assert (await rig.ask(b"file", path="/v1/files")).response is None


async def test_aliases_and_downgrades() -> None:
    """Only the model changes in the body; the answer and the record name it."""
    limits = {
        "default": {"aliases": {"fast": MODEL}},
        "teams": {
            "a": {
                "budget_usd": {"day": 0.01},
                "downgrade": [{"over": 0.5, "from": "claude-opus-*", "to": MODEL}],
            }
        },
    }
    with Using(limits) as rig:
        made = await rig.serve(answer(0, 1000), b'{"model":"fast","max_tokens":9,"x":1.0}')
        assert made.request.content == b'{"model":"%s","max_tokens":9,"x":1.0}' % MODEL.encode()
        assert made.request.headers["content-length"] == str(len(made.request.content))
        assert made.response is not None
        assert made.response.headers["x-sluicegate-model"] == MODEL
        record = made.metadata["sluicegate"]
        assert (record["model"], record["model_served"]) == ("fast", MODEL)
        assert record["model_rule"] == "limits.default.aliases.fast"
        made = await rig.serve(answer(), {"model": "claude-opus-4-1", "max_tokens": 9})
        assert made.request.json()["model"] == MODEL
        assert "over 50% of the budget of the team a" in made.metadata["sluicegate"]["model_rule"]


# -- runaways


async def test_the_same_request_again_and_again() -> None:
    """Refused beyond the number, not to be retried, with an alarm; another body is not affected."""
    with Using({"runaway": {"same_request": 3}}) as rig:
        for _ in range(3):
            assert (await rig.serve()).response.status_code == 200  # type: ignore[union-attr]
        for _ in range(2):
            made = await rig.ask()
            status, _, message = refused(made)
            assert status == 429
            assert "the same request was sent more than 3 times in 10 min (limits.runaway.same_request)" in message
            assert made.response is not None
            assert made.response.headers["x-should-retry"] == "false"
            assert "retry-after" not in made.response.headers
            send_answer(rig.chain, made)
        assert rig.services.alarms == {"limits.runaway": 1}
        assert (await rig.serve(body={"model": MODEL, "other": 1})).response.status_code == 200  # type: ignore[union-attr]


@pytest.mark.parametrize("header", [b"x-claude-code-session-id", b"x-session-id", b"session-id"])
async def test_a_session_that_spends_too_fast(header: bytes) -> None:
    """Beyond its amount in that time, whichever client names it; other sessions go on."""
    with Using({"runaway": {"session_usd": 0.01, "session_minutes": 5}}) as rig:
        mine, other = ([(header, name)] for name in (b"s1", b"s2"))
        await rig.serve(answer(0, 4000), headers=mine)
        status, _, message = refused(await rig.ask(headers=mine))
        assert (status, "this session spent more than $0.0100 in 5 min" in message) == (429, True)
        assert (await rig.serve(headers=other)).response.status_code == 200  # type: ignore[union-attr]


# -- waiting


async def test_calls_wait_their_turn() -> None:
    """With queue_s, in order of arrival; each end admits the next one."""
    with Using({"default": {"concurrency": 1}, "queue_s": 30.0}) as rig:
        running = await rig.ask()
        flows = [make_flow(body={"model": MODEL, "n": n}) for n in range(3)]
        tasks = []
        for n, flow in enumerate(flows):
            tasks.append(asyncio.ensure_future(descend(rig.chain, flow)))
            await until(lambda n=n: rig.reservations.queue.waiting("id1") == n + 1)  # type: ignore[misc]
        for flow, task in zip(flows, tasks, strict=True):
            send_answer(rig.chain, running, [answer()])
            await task
            assert flow.response is None
            assert the_exchange(flow).routing.release
            running = flow
        send_answer(rig.chain, running, [answer()])
        assert "id1" not in rig.reservations.queue


async def test_a_client_that_leaves_the_queue() -> None:
    """It takes no capacity, and those behind it move up."""
    with Using({"default": {"concurrency": 1}, "queue_s": 30.0}) as rig:
        running = await rig.ask()
        leaves, stays = make_flow(body={"model": MODEL}), make_flow(body={"model": MODEL})
        tasks = [asyncio.ensure_future(descend(rig.chain, flow)) for flow in (leaves, stays)]
        await until(lambda: rig.reservations.queue.waiting("id1") == 2)
        fail(rig.chain, leaves, by_client=True)
        await tasks[0]
        assert rig.reservations.queue.waiting("id1") == 1
        send_answer(rig.chain, running, [answer()])
        await tasks[1]
        assert the_exchange(stays).routing.release
        send_answer(rig.chain, stays, [answer()])
        assert await rig.used("key:id1:concurrency") == 0


async def test_no_call_waits_in_vain() -> None:
    """A timeout and a spent budget are refused as without a queue."""
    with Using({"default": {"concurrency": 1, "budget_tokens": {"month": 1500}}, "queue_s": 0.01}) as rig:
        running = await rig.ask()
        assert refused(await rig.ask())[0] == 429
        send_answer(rig.chain, running, [answer(0, 1490)])
        assert refused(await rig.ask())[0] == 402
        assert "id1" not in rig.reservations.queue


# -- stores that fail, and that answer late


async def test_open_while_the_store_is_down() -> None:
    """Calls go on, with one alarm; their usage is charged when the store is back."""
    store = SlowStore()
    with Using({"default": {"budget_tokens": {"day": 10_000}}}, store_made=store) as rig:
        store.down = True
        for _ in range(2):
            assert (await rig.serve(answer(100, 50))).response.status_code == 200  # type: ignore[union-attr]
        assert rig.services.alarms == {"limits.store_down": 1}
        assert store.asked == 1
        rig.reservations._next_try = 0.0
        await rig.serve(answer(0, 0))  # this one tries again
        await rig.serve(answer(0, 0))
        assert store.asked == 2
        store.down = False
        rig.reservations._next_try = 0.0
        await rig.serve(answer(100, 50))
        await until(lambda: not rig.reservations._settling)
        assert await rig.used("key:id1:tokens:day") == 450


async def test_closed_while_the_store_is_down() -> None:
    """503, to be retried soon, and nothing is sent."""
    store = SlowStore()
    with Using({"default": {"rpm": 1}, "when_store_down": "closed"}, store_made=store) as rig:
        store.down = True
        made = await rig.ask()
        assert refused(made)[:2] == (503, "api_error")
        assert made.response is not None
        assert (made.response.headers["retry-after"], made.response.headers["x-should-retry"]) == ("5", "true")
        assert the_exchange(made).routing.release is None


async def test_a_client_that_leaves_while_the_store_answers() -> None:
    """The late reservation is released at once."""
    store = SlowStore()
    with Using({"default": {"concurrency": 1}}, store_made=store) as rig:
        store.go.clear()
        made = make_flow(body={"model": MODEL})
        task = asyncio.ensure_future(descend(rig.chain, made))
        await until(lambda: rig.services.stats.active == 1)
        await asyncio.sleep(0)
        fail(rig.chain, made, by_client=True)
        store.go.set()
        await task
        await until(lambda: not rig.reservations._settling)
        assert await rig.used("key:id1:concurrency") == 0
        assert rig.reservations._live == {}


async def test_a_bug_in_a_store_fails_closed() -> None:
    """500, nothing is sent, and nothing stays reserved."""

    class Buggy(SlowStore):
        async def reserve(self, request: ReserveRequest) -> Verdict:
            await super().reserve(request)
            raise KeyError("bug")

    with Using({"default": {"concurrency": 1}}, store_made=Buggy()) as rig:
        made = await rig.ask()
        assert refused(made)[0] == 500
        await until(lambda: not rig.reservations._settling)
        assert await rig.used("key:id1:concurrency") == 0


async def test_reservations_outlive_a_policy() -> None:
    """A reload changes the limits, not the usage; at the end the store is closed, once."""
    store = SlowStore()
    with Using({"default": {"budget_tokens": {"day": 1000}}}, store_made=store) as rig:
        await rig.serve(answer(100, 50))
        await until(lambda: not rig.reservations._settling)
        assert rig.chain.policy
        stages = [type(s) for s in rig.chain.policy.stages]
        rig.chain.policy = Policy(config({"default": {"budget_tokens": {"day": 150}}}), stages, rig.services)
        assert refused(await rig.ask())[0] == 402
        for _ in range(2):
            await rig.services.finish()
        assert store.closed == 1


async def test_calls_that_end_with_the_process(tmp_path: Path) -> None:
    """They cost what they reserved, and their concurrency is free for the next process at once."""
    limits = {"default": {"concurrency": 1, "budget_tokens": {"day": 1000}}}
    with Using(limits, store="sqlite", state_dir=tmp_path) as rig:
        await rig.ask()
        reserved = await rig.used("key:id1:tokens:day")
        await rig.services.finish()
    with Using(limits, store="sqlite", state_dir=tmp_path) as rig:
        assert await rig.used("key:id1:tokens:day") == reserved > 100
        assert await rig.used("key:id1:concurrency") == 0
        await rig.services.finish()


SURFACES = [
    ("/v1/messages", {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}),
    ("/v1/chat/completions", {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}),
    (f"/model/{MODEL}/invoke", {"max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}),
    (f"/v1/models/{MODEL}:rawPredict", {"max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}),
]


@pytest.mark.parametrize(("path", "body"), SURFACES)
async def test_every_surface_is_charged(path: str, body: dict[str, Any]) -> None:
    """Tokens are reserved and settled by the provider's bytes, whatever the client speaks."""
    with Using({"keys": {"jo": {"budget_usd": {"day": 1}}}}, providers={"anthropic": Provider(kind="anthropic")}) as rig:
        made = await rig.ask(body, path=path)
        assert await rig.used("key:id1:usd:day") > 0
        send_answer(rig.chain, made, [answer(300, 50)])
        assert await rig.used("key:id1:usd:day") == (300 + 50 * 5) * NANO // 1_000_000


@pytest.mark.parametrize(("path", "body"), SURFACES)
async def test_a_limit_refuses_in_the_client_s_words(path: str, body: dict[str, Any]) -> None:
    """429 on every surface."""
    with Using({"keys": {"jo": {"concurrency": 1}}}, providers={"anthropic": Provider(kind="anthropic")}) as rig:
        await rig.ask(body, path=path)
        made = await rig.ask(body, path=path)
        assert made.response is not None
        assert made.response.status_code == 429
        assert ("x-amzn-errortype" in made.response.headers) is path.startswith("/model/")
