"""Batches: charged when they are made, refused where a limit could not be enforced."""

from typing import Any

import pytest

from kits.limiterkit import JO, MODEL, Using, refused
from sluicegate.core.limits.rules import NANO
from sluicegate.settings.providers import Provider
from sluicegate.settings.secret import Secret
from sluicegate.stages import (
    Limiter,
)
from sluicegate.testing import (
    fail,
)

BATCHES = "/v1/messages/batches"


def batch(*models: str, most: int = 100) -> dict[str, Any]:
    return {"requests": [{"custom_id": str(n), "params": {"model": m, "max_tokens": most}} for n, m in enumerate(models)]}


async def test_a_batch_costs_what_it_may_use() -> None:
    """Its estimate at half the price, when it is made. It counts as one request, and not in rates of tokens."""
    limits = {
        "default": {"rpm": 10, "tpm": 10},
        "teams": {"a": {"budget_usd": {"day": 1}, "budget_tokens": {"day": 10_000}}},
    }
    with Using(limits) as rig:
        await rig.serve(b"{}", body=batch(MODEL, MODEL), path=BATCHES)
        read = 2 * -(-len(b'{"model":"claude-haiku-4-5","max_tokens":100}') // 4)
        assert await rig.used("team:a:tokens:day") == read + 200
        assert await rig.used("team:a:usd:day") == (read * 1 + 200 * 5) * NANO // 2_000_000
        assert await rig.used("key:id1:rpm") == 1
        assert await rig.used("key:id1:tpm") == 0


@pytest.mark.parametrize("strict", [False, True])
async def test_a_batch_that_is_larger_than_the_budget(strict: bool) -> None:
    """It is refused as a whole, and nothing of it is charged; one that fits is not."""
    with Using({"strict": strict, "teams": {"a": {"budget_usd": {"month": 0.01}}}}) as rig:
        status, kind, message = refused(await rig.ask(batch(*[MODEL] * 1000), path=BATCHES))
        assert (status, kind) == (402, "billing_error")
        assert "limits.teams.a.budget_usd.month" in message
        assert await rig.used("team:a:usd:month") == 0
        assert (await rig.ask(batch(MODEL), path=BATCHES)).response is None


async def test_a_batch_that_the_provider_refuses_costs_nothing() -> None:
    """A batch without an answer may have started, so it is charged."""
    with Using({"default": {"rpm": 10}, "teams": {"a": {"budget_usd": {"day": 1}}}}) as rig:
        await rig.serve(b"{}", body=batch(MODEL), path=BATCHES, status=400)
        assert await rig.used("key:id1:rpm") == 1
        fail(rig.chain, await rig.ask(batch(MODEL), path=BATCHES))
        assert await rig.used("team:a:usd:day") > 0


async def test_a_batch_counts_for_each_model_in_it() -> None:
    """With the part of that model; the sum of all counts for the caller."""
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
        assert 300 < await rig.used("team:a:tokens:day") < 350


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
    """As if it had been requested by itself; a batch is not rewritten."""
    of_team = {"models": ["claude-haiku-*"], "deny": ["*-cheap"], "aliases": {"fast": MODEL}}
    with Using({"teams": {"a": of_team}}) as rig:
        made = await rig.ask(batch(*models), path=BATCHES)
        if not status:
            assert made.response is None
            return
        assert refused(made)[0] == status
        assert says in refused(made)[2]


@pytest.mark.parametrize("path", ["/v1/agents", "/v1/messages/%62atches/x", "/v1/sessions", BATCHES])
async def test_what_cannot_be_counted_is_not_paid_with_our_key(path: str) -> None:
    """With a budget or a list of models, a path that could start any model is refused, and so is a malformed batch."""
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
