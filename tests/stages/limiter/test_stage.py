"""Limiter: reserves before, settles after, and refuses with what a client can act on."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from mitmproxy import http

from kits.limitskit import SlowStore, until
from sluicegate.core.identity.caller import Caller
from sluicegate.core.limits.reservations import ReserveRequest, Verdict
from sluicegate.core.limits.rules import NANO
from sluicegate.exchange.call import Failure
from sluicegate.exchange.exchange import Exchange
from sluicegate.gate.chain import Chain
from sluicegate.gate.policy import Policy
from sluicegate.services.services import Services
from sluicegate.settings import Settings
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
from sluicegate.settings.secret import Secret
from sluicegate.stages import (
    Audit,
    Limiter,
    Router,
    Stage,
)
from sluicegate.stages.limiter.reservations import RESERVATIONS, Reservations, reservations_for
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

MODEL = "claude-haiku-4-5"  # $1 in, $5 out, $0.10 read, $1.25 and $2 written, for a million tokens
JO = Caller("id1", name="jo", team="a", user="u")


def config(limits: dict[str, Any], **fields: Any) -> Settings:
    return quiet(**{"store": "memory", "limits": msgspec.convert(limits, Limits), **fields})


def answer(read: int = 100, written: int = 50, model: str = MODEL, **usage: int) -> bytes:
    counts = {"input_tokens": read, "output_tokens": written, **usage}
    return msgspec.json.encode({"type": "message", "model": model, "content": [], "usage": counts})


def event(kind: str, **fields: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **fields}))


def start(read: int = 100) -> bytes:
    return event("message_start", message={"model": MODEL, "usage": {"input_tokens": read, "output_tokens": 1}})


class Rig:
    """A chain of Audit, a caller, the Limiter, what else there is, and the Router."""

    def __init__(self, chain: Chain, settings: Settings) -> None:
        self.chain = chain
        self.settings = settings
        self.services = chain.services

    @property
    def reservations(self) -> Reservations:
        return reservations_for(self.services, self.settings)

    async def ask(self, body: Any = None, **flow: Any) -> http.HTTPFlow:
        made = make_flow(body=body or {"model": MODEL, "max_tokens": 100, "messages": []}, **flow)
        await descend(self.chain, made)
        return made

    async def serve(self, reply: bytes | None = None, body: Any = None, status: int = 200, **flow: Any) -> http.HTTPFlow:
        made = await self.ask(body, **flow)
        send_answer(self.chain, made, [answer() if reply is None else reply], status=status)
        return made

    async def level(self, key: str) -> int:
        """How much of a counter of JO's is used."""
        assert self.chain.policy
        limiter = next(s for s in self.chain.policy.stages if isinstance(s, Limiter))
        counters = limiter.rules.counters(JO, MODEL, "anthropic")
        (level,) = await self.reservations.peek([c for c in counters if c.key == key]) or ()
        return level.used


class Using:
    """`with Using(limits) as rig`."""

    def __init__(self, limits: dict[str, Any], *inner: type[Stage], caller: Caller = JO, **fields: Any) -> None:
        def name(x: Exchange) -> None:
            x.caller = caller

        store = fields.pop("store_made", None)
        services = Services(fields.pop("environ", {}))
        self.settings = config(limits, **fields)
        if store:
            place = ("memory", self.settings.state_dir)
            services.state.get(RESERVATIONS, lambda: Reservations(store, services.alarm), place)
        who = planted("who", [], does={"head": name})
        self.chain = chain_of(Audit, who, Limiter, *inner, Router, settings=self.settings, services=services)

    def __enter__(self) -> Rig:
        return Rig(self.chain.__enter__(), self.settings)

    def __exit__(self, *error: object) -> None:
        self.chain.__exit__(*error)


def refused(flow: http.HTTPFlow) -> tuple[int, str, str]:
    """Status, type and message of our own refusal."""
    assert flow.response is not None
    error = msgspec.json.decode(flow.response.content or b"")["error"]
    return flow.response.status_code, error["type"], error["message"]


# -- not there


def test_without_limits_there_is_no_stage() -> None:
    """It is not in the policy at all; with a limit, or with virtual keys that may bring one, it is."""
    with chain_of(Audit, Limiter, Router, settings=quiet()) as chain:
        assert chain.policy
        assert [s.name for s in chain.policy.stages] == ["audit", "router"]
    assert Limiter.idle(quiet(limits=Limits(strict=True, queue_s=5.0)))
    assert not Limiter.idle(quiet(identity=Identity(mode="keys")))
    assert not Limiter.idle(config({"runaway": {"same_request": 5}}))


async def test_a_caller_without_limits_goes_through() -> None:
    """Nothing is reserved, nothing is told."""
    with Using({"teams": {"other": {"concurrency": 1}}}) as rig:
        made = await rig.serve()
        assert made.response is not None
        assert not [h for h in made.response.headers if h.startswith(("anthropic-ratelimit", "x-sluicegate-b"))]


# -- rates


async def test_a_rate_that_is_used_up() -> None:
    """A native 429 with the waiting time, whether it helps, whose limit it was and the caller's own headers."""
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
    """What the caller is limited in is told with its own numbers."""
    given = {
        "content-type": "application/json",
        "anthropic-ratelimit-requests-remaining": "3999",
        "anthropic-ratelimit-tokens-remaining": "80000",
    }
    with Using({"default": {"rpm": 10}}) as rig:
        made = await rig.ask()
        send_answer(rig.chain, made, [answer()], headers=given)
        assert made.response is not None
        assert made.response.headers["anthropic-ratelimit-requests-remaining"] == "199"
        assert made.response.headers["anthropic-ratelimit-tokens-remaining"] == "80000"


async def test_tokens_are_settled_without_reads_from_the_cache() -> None:
    """Estimated first; then what the provider counted, cache writes as input, reads not at all."""
    still = storage_from_url("memory", clock=lambda: 1_800_000_000_000)  # nothing drains meanwhile
    with Using({"default": {"input_tpm": 10_000, "output_tpm": 10_000, "tpm": 10_000}}, store_made=still) as rig:
        made = await rig.ask()
        assert await rig.level("key:id1:output_tpm") == 100  # max_tokens is less than the cold estimate
        send_answer(rig.chain, made, [answer(1000, 70, cache_read_input_tokens=90_000, cache_creation_input_tokens=500)])
        keys = ("input_tpm", "output_tpm", "tpm")
        used = [await rig.level(f"key:id1:{key}") for key in keys]
        assert used == [1500, 70, 1570]


async def test_seats() -> None:
    """As many calls at a time as there are seats; whoever ends, however it ends, leaves one free."""
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
        assert await rig.level("key:id1:concurrency") == 0


@pytest.mark.parametrize("path", ["/v1/messages/count_tokens", "/v1/files"])
async def test_what_is_no_inference_counts_as_a_request(path: str) -> None:
    """Tokens and money are not touched."""
    with Using({"default": {"rpm": 10, "tpm": 10, "budget_usd": {"day": 0.000001}}}) as rig:
        await rig.serve(b'{"input_tokens": 5000}', path=path)
        assert await rig.level("key:id1:rpm") == 1
        assert await rig.level("key:id1:tpm") == 0
        assert await rig.level("key:id1:usd:day") == 0


@pytest.mark.parametrize("limits", [{"default": {"rpm": 400}}, {}])
async def test_what_is_left_of_a_shared_account_is_nobodys_business(limits: dict[str, Any]) -> None:
    """Holders of our keys do not see how much the others have used; who brings an own credential sees its own account's."""
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


# -- batches

BATCHES = "/v1/messages/batches"


def batch(*models: str, most: int = 100) -> dict[str, Any]:
    return {"requests": [{"custom_id": str(n), "params": {"model": m, "max_tokens": most}} for n, m in enumerate(models)]}


async def test_a_batch_costs_what_it_may_use() -> None:
    """At half the price, when it is made: what it uses later nobody tells. It is one request, and no tokens a minute."""
    limits = {
        "default": {"rpm": 10, "tpm": 10},
        "teams": {"a": {"budget_usd": {"day": 1}, "budget_tokens": {"day": 10_000}}},
    }
    with Using(limits) as rig:
        await rig.serve(b"{}", body=batch(MODEL, MODEL), path=BATCHES)
        read = 2 * -(-len(b'{"model":"claude-haiku-4-5","max_tokens":100}') // 4)
        assert await rig.level("team:a:tokens:day") == read + 200
        assert await rig.level("team:a:usd:day") == (read * 1 + 200 * 5) * NANO // 2_000_000
        assert await rig.level("key:id1:rpm") == 1
        assert await rig.level("key:id1:tpm") == 0


@pytest.mark.parametrize("strict", [False, True])
async def test_a_batch_that_is_larger_than_the_budget(strict: bool) -> None:
    """Is refused as a whole, and nothing of it is charged; one that fits is not."""
    with Using({"strict": strict, "teams": {"a": {"budget_usd": {"month": 0.01}}}}) as rig:
        status, kind, message = refused(await rig.ask(batch(*[MODEL] * 1000), path=BATCHES))
        assert (status, kind) == (402, "billing_error")
        assert "limits.teams.a.budget_usd.month" in message
        assert await rig.level("team:a:usd:month") == 0
        assert (await rig.ask(batch(MODEL), path=BATCHES)).response is None


async def test_a_batch_that_the_provider_refuses_costs_nothing() -> None:
    """Nor does one that was never sent; one of which nothing is known may have been begun."""
    with Using({"default": {"rpm": 10}, "teams": {"a": {"budget_usd": {"day": 1}}}}) as rig:
        await rig.serve(b"{}", body=batch(MODEL), path=BATCHES, status=400)
        assert await rig.level("key:id1:rpm") == 1
        fail(rig.chain, await rig.ask(batch(MODEL), path=BATCHES))
        assert await rig.level("team:a:usd:day") > 0


async def test_a_batch_counts_for_each_model_in_it() -> None:
    """With its own part; what all models have together is the caller's."""
    dear = "claude-opus-4-1"
    limits = {
        "models": {"claude-opus-*": {"budget_tokens": {"day": 1000}}},
        "teams": {"a": {"budget_tokens": {"day": 1000}}},
    }
    with Using(limits) as rig:
        await rig.serve(b"{}", body=batch(MODEL, dear, dear), path=BATCHES)
        chain = rig.chain.policy
        assert chain
        limiter = next(s for s in chain.stages if isinstance(s, Limiter))
        of_model = [c for c in limiter.rules.counters(JO, dear) if c.key.startswith("model:")]
        (level,) = await rig.reservations.peek(of_model) or ()
        assert 200 < level.used < 250
        assert 300 < await rig.level("team:a:tokens:day") < 350


@pytest.mark.parametrize(
    ("models", "status", "says"),
    [
        ((MODEL,), 0, ""),
        ((MODEL, "claude-opus-4-1"), 403, "limits.teams.a.models allows claude-haiku-*"),
        (("",), 403, "cannot be read"),
        (("claude-haiku-4-5-cheap",), 403, "limits.teams.a.deny"),
        (("fast",), 400, "ask for 'claude-haiku-4-5' instead (limits.teams.a.aliases.fast)"),
    ],
)
async def test_each_model_of_a_batch_is_judged(models: tuple[str, ...], status: int, says: str) -> None:
    """As if it had been asked for by itself; a batch is not rewritten."""
    of_team = {"models": ["claude-haiku-*"], "deny": ["*-cheap"], "aliases": {"fast": MODEL}}
    with Using({"teams": {"a": of_team}}) as rig:
        made = await rig.ask(batch(*models), path=BATCHES)
        if not status:
            assert made.response is None
            return
        assert refused(made)[0] == status
        assert says in refused(made)[2]


@pytest.mark.parametrize("path", ["/v1/agents", "/v1/messages/%62atches/x", "/v1/sessions", BATCHES])
async def test_what_can_not_be_counted_is_not_paid_with_our_key(path: str) -> None:
    """With a budget, or for some models only: a path that could start any model is refused, and a batch that is none."""
    ours = {"anthropic": Provider(kind="anthropic", keys=(Secret("env:OURS"),))}
    for limit in ({"budget_usd": {"day": 1}}, {"models": ["claude-haiku-*"]}):
        with Using({"teams": {"a": limit}}, providers=ours, environ={"OURS": "sk-ant-ours"}) as rig:
            status, kind, message = refused(await rig.ask({"model": MODEL}, path=path))
            assert (status, kind) == (403, "permission_error")
            assert path in message
            assert (await rig.ask(b"file", path="/v1/files")).response is None
            assert (await rig.ask(method="GET", path=path)).response is None
        with Using({"teams": {"a": limit}}) as rig:  # the client's own account
            assert (await rig.ask({"model": MODEL}, path=path)).response is None
    with Using({"teams": {"a": {"rpm": 5}}}, providers=ours, environ={"OURS": "sk-ant-ours"}) as rig:
        assert (await rig.ask({"model": MODEL}, path=path)).response is None


# -- budgets


async def test_a_budget_is_settled_to_the_billionth() -> None:
    """Cache reads and writes at their own prices."""
    with Using({"teams": {"a": {"budget_usd": {"day": 1}}}}) as rig:
        await rig.serve(answer(1000, 70, cache_read_input_tokens=90_001, cache_creation_input_tokens=500))
        cost = 1000 * 1.0 + 70 * 5.0 + 90_001 * 0.1 + 500 * 1.25
        assert await rig.level("team:a:usd:day") == round(cost * NANO / 1_000_000)


async def test_a_budget_that_is_spent() -> None:
    """402, with what is spent and when it is whole again; hours away, it is not worth trying again."""
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
    """From four fifths on a header on each answer, and one alarm."""
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
    """1,024 tokens out while nothing is known, then what 95 of 100 answers of this key and model did not exceed."""
    body = {"model": MODEL, "max_tokens": 9000}
    with Using({"default": {"budget_tokens": {"day": 100_000}}}) as rig:
        made = await rig.ask(body)
        read = await rig.level("key:id1:tokens:day") - 1024
        assert read == -(-len(made.request.content or b"") // 4)
        send_answer(rig.chain, made, [answer(0, 333)])
        await rig.ask(body)
        assert await rig.level("key:id1:tokens:day") == 333 + 333 + read


async def test_strict_reserves_the_worst() -> None:
    """A token for each byte at the dearest price there is, and max_tokens."""
    with Using({"strict": True, "default": {"budget_usd": {"day": 9}, "output_tpm": 10**6}}) as rig:
        made = await rig.ask({"model": MODEL, "max_tokens": 64_000})
        size = len(made.request.content or b"") + 1000
        assert await rig.level("key:id1:usd:day") == round((size * 2.0 + 64_000 * 5.0) * 1.1 * NANO / 1_000_000)
        assert await rig.level("key:id1:output_tpm") == pytest.approx(64_000, rel=0.05)


async def test_a_model_without_a_price() -> None:
    """Counted as nothing, with an alarm; in strict mode, where that could overshoot, refused."""
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
    """What may have been sent and has no usage is charged as estimated; what has a part of it, that and the rest of it."""
    with Using({"default": {"rpm": 1, "budget_tokens": {"day": 1000}, "budget_usd": {"day": 1}}}) as rig:
        made = await rig.ask({"model": MODEL, "max_tokens": 100, "x": ""})
        assert len(made.request.content or b"") in range(49, 53)
        end(rig, made)
        assert await rig.level("key:id1:rpm") == requests
        assert await rig.level("key:id1:tokens:day") == tokens
        money = {0: 0, 113: 13_000 + 500_000, 130: 30_000 + 500_000}
        assert await rig.level("key:id1:usd:day") == money[tokens]


async def test_a_hit_counts_as_a_request_only() -> None:
    """A cache that answers costs nothing; a stage further in that refuses gives everything back."""

    def hit(x: Exchange) -> None:
        x.cache_status, x.answer = "HIT", http.Response.make(200, answer())

    for does, requests in ((hit, 1), (lambda x: setattr(x, "answer", http.Response.make(400)), 0)):
        cache = planted("cache", [], does={"request": does})
        with Using({"default": {"rpm": 1, "tpm": 9999, "budget_usd": {"day": 1}}}, cache) as rig:
            made = await rig.ask()
            send_answer(rig.chain, made)
            used = [await rig.level(f"key:id1:{key}") for key in ("rpm", "tpm", "usd:day")]
            assert used == [requests, 0, 0]


async def test_the_provider_that_served_is_charged() -> None:
    """The first target's limit is asked; after a failover the other's counters get what was used."""
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
    """403, not to be tried again, with what is allowed."""
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
    """The body asks for the other model, the rest of it is as it was; the answer and the record say so."""
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
    """Refused beyond the number, for good, with an alarm; another body and another caller are not concerned."""
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


async def test_a_session_that_spends_too_fast() -> None:
    """Beyond its sum in that time; other sessions go on."""
    with Using({"runaway": {"session_usd": 0.01, "session_minutes": 5}}) as rig:
        mine, other = ([(b"x-claude-code-session-id", name)] for name in (b"s1", b"s2"))
        await rig.serve(answer(0, 4000), headers=mine)
        status, _, message = refused(await rig.ask(headers=mine))
        assert (status, "this session spent more than $0.0100 in 5 min" in message) == (429, True)
        assert (await rig.serve(headers=other)).response.status_code == 200  # type: ignore[union-attr]


# -- waiting


async def test_calls_wait_their_turn() -> None:
    """With queue_s, in the order in which they came; each end lets the next one in."""
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


async def test_a_client_that_leaves_the_line() -> None:
    """It takes no place, and those behind it move up."""
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
        assert await rig.level("key:id1:concurrency") == 0


async def test_nobody_waits_for_what_does_not_come() -> None:
    """A time that is up, a budget that is spent: refused as without a line."""
    with Using({"default": {"concurrency": 1, "budget_tokens": {"month": 1500}}, "queue_s": 0.01}) as rig:
        running = await rig.ask()
        assert refused(await rig.ask())[0] == 429
        send_answer(rig.chain, running, [answer(0, 1490)])
        assert refused(await rig.ask())[0] == 402
        assert "id1" not in rig.reservations.queue


# -- stores that fail, and that answer late


async def test_open_while_the_store_is_down() -> None:
    """Calls go on, with one alarm; what they used is charged when the store is back."""
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
        assert await rig.level("key:id1:tokens:day") == 450


async def test_closed_while_the_store_is_down() -> None:
    """503, to be tried again soon, and nothing is sent."""
    store = SlowStore()
    with Using({"default": {"rpm": 1}, "when_store_down": "closed"}, store_made=store) as rig:
        store.down = True
        made = await rig.ask()
        assert refused(made)[:2] == (503, "api_error")
        assert made.response is not None
        assert (made.response.headers["retry-after"], made.response.headers["x-should-retry"]) == ("5", "true")
        assert the_exchange(made).routing.release is None


async def test_a_client_that_leaves_while_the_store_answers() -> None:
    """The reservation that comes too late is given back at once."""
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
        assert await rig.level("key:id1:concurrency") == 0
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
        assert await rig.level("key:id1:concurrency") == 0


async def test_reservations_outlive_a_policy() -> None:
    """A reload changes the limits, not what was used; at the end the store is closed, once."""
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
    """They cost what they had reserved, and their seats are free for the next process at once."""
    limits = {"default": {"concurrency": 1, "budget_tokens": {"day": 1000}}}
    with Using(limits, store="sqlite", state_dir=tmp_path) as rig:
        await rig.ask()
        reserved = await rig.level("key:id1:tokens:day")
        await rig.services.finish()
    with Using(limits, store="sqlite", state_dir=tmp_path) as rig:
        assert await rig.level("key:id1:tokens:day") == reserved > 100
        assert await rig.level("key:id1:concurrency") == 0
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
        assert await rig.level("key:id1:usd:day") > 0
        send_answer(rig.chain, made, [answer(300, 50)])
        assert await rig.level("key:id1:usd:day") == (300 + 50 * 5) * NANO // 1_000_000


@pytest.mark.parametrize(("path", "body"), SURFACES)
async def test_a_limit_refuses_in_the_client_s_words(path: str, body: dict[str, Any]) -> None:
    """429 on every surface."""
    with Using({"keys": {"jo": {"concurrency": 1}}}, providers={"anthropic": Provider(kind="anthropic")}) as rig:
        await rig.ask(body, path=path)
        made = await rig.ask(body, path=path)
        assert made.response is not None
        assert made.response.status_code == 429
        assert ("x-amzn-errortype" in made.response.headers) is path.startswith("/model/")
