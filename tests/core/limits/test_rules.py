"""Rules: which counters apply to a call, and which model it gets."""

from typing import Any

import msgspec
import pytest

from sluicegate.core.identity.caller import Caller
from sluicegate.core.limits.models import (
    Chosen,
    Forbidden,
    choose,
    downgrades,
    names_models,
)
from sluicegate.core.limits.rules import Counter, Rules
from sluicegate.settings.limits import Limits

JO = Caller("id1", name="jo", team="a", user="u")


def rules(**limits: Any) -> Rules:
    return Rules(msgspec.convert(limits, Limits))


def found(counters: tuple[Counter, ...]) -> dict[str, tuple[str, int]]:
    return {c.key: (c.name, c.limit) for c in counters}


def test_every_matching_limit_counts() -> None:
    """The key's own, those of its team and its user, and those of the model and the provider."""
    made = rules(
        default={"rpm": 60, "concurrency": 5},
        teams={"a": {"tpm": 1000}, "b": {"tpm": 1}},
        users={"u": {"budget_tokens": {"month": 7}}},
        models={"claude-opus-*": {"output_tpm": 9}},
        providers={"p": {"input_tpm": 8}},
    )
    assert found(made.counters(JO, "claude-opus-4", "p")) == {
        "key:id1:rpm": ("limits.default.rpm", 60),
        "key:id1:concurrency": ("limits.default.concurrency", 5),
        "team:a:tpm": ("limits.teams.a.tpm", 1000),
        "user:u:tokens:month": ("limits.users.u.budget_tokens.month", 7),
        "model:claude-opus-*:output_tpm": ("limits.models.claude-opus-*.output_tpm", 9),
        "provider:p:input_tpm": ("limits.providers.p.input_tpm", 8),
    }
    assert set(found(made.counters(Caller("id2"), "m", "q"))) == {"key:id2:rpm", "key:id2:concurrency"}
    assert [c.key for c in made.of_provider("p")] == ["provider:p:input_tpm"]
    assert made.of_provider("q") == ()


def test_a_keys_own_limit_replaces_the_default() -> None:
    """Field by field: its own budget, then limits.keys by name or id, then limits.default; one counter for each."""
    made = rules(
        default={"rpm": 600, "burst": 300, "concurrency": 50, "budget_usd": {"day": 1, "month": 9}},
        keys={"jo": {"rpm": 5, "budget_usd": {"day": 2}}, "id3": {"rpm": 1, "burst": 2}},
    )
    assert found(made.counters(JO)) == {
        "key:id1:rpm": ("limits.keys.jo.rpm", 5),
        "key:id1:concurrency": ("limits.default.concurrency", 50),
        "key:id1:usd:day": ("limits.keys.jo.budget_usd.day", 2 * 10**9),
        "key:id1:usd:month": ("limits.default.budget_usd.month", 9 * 10**9),
    }
    own = Caller("id1", name="jo", budget_usd={"day": 0.5})
    assert found(made.counters(own))["key:id1:usd:day"] == ("its own budget a day", 5 * 10**8)
    assert found(made.counters(Caller("id3")))["key:id3:rpm"] == ("limits.keys.id3.rpm", 2)


@pytest.mark.parametrize(("rpm", "burst", "size"), [(3, None, 3), (600, None, 600), (5, 5, 5), (600, 10, 10)])
def test_burst(rpm: int, burst: int | None, size: int) -> None:
    """Without one, as many at once as in a minute: a small rate allows no large burst."""
    (counter,) = rules(default={"rpm": rpm, "burst": burst}).counters(JO)
    assert (counter.limit, counter.rate) == (size, rpm)


def test_any_number_of_callers_and_models_takes_bounded_memory() -> None:
    """Names come from requests."""
    made = rules(default={"rpm": 1}, models={"*": {"rpm": 1}})
    for i in range(12_000):
        made.counters(Caller(f"k{i}"), f"m{i}")
    assert len(made._layers) <= 5000
    assert len(made._shared) <= 5000


def test_models_allowed_and_denied() -> None:
    """Every list that holds for the caller has to allow it; a key's own list replaces the default one."""
    made = rules(
        default={"models": ["claude-*"]},
        keys={"jo": {"models": ["gpt-*", "claude-*"]}},
        teams={"a": {"deny": ["*-opus-*"]}},
    )
    layers = made.layers(JO)
    assert names_models(layers)
    assert choose("gpt-5", layers) == Chosen("gpt-5")
    denied = choose("claude-opus-4", layers)
    assert isinstance(denied, Forbidden)
    assert denied.name == "limits.teams.a.deny"
    literal = rules(default={"deny": ["claude-opus-5[1m]"]}).layers(JO)
    assert isinstance(choose("claude-opus-5[1m]", literal), Forbidden)
    denied = choose("gpt-5", made.layers(Caller("other")))
    assert isinstance(denied, Forbidden)
    assert denied.message == "this key may not use the model 'gpt-5'; limits.default.models allows claude-*"
    assert isinstance(choose("", layers), Forbidden)
    assert not names_models(rules(default={"rpm": 1}).layers(JO))


def test_aliases_and_downgrades() -> None:
    """An alias applies first; beyond the fraction of the budget the model changes, also that of an alias."""
    made = rules(
        default={"aliases": {"fast": "claude-haiku-4-5"}, "models": ["claude-opus-*"]},
        teams={
            "a": {
                "budget_usd": {"day": 1},
                "aliases": {"best": "claude-opus-4"},
                "downgrade": [{"over": 0.8, "from": "claude-opus-*", "to": "claude-sonnet-4-5"}],
            }
        },
    )
    layers = made.layers(JO)
    assert choose("fast", layers) == Chosen("claude-haiku-4-5", "limits.default.aliases.fast")
    assert downgrades(layers, "best") == {"team:a"}
    assert downgrades(layers, "fast") == frozenset()
    assert choose("best", layers, lambda _: 0.79).model == "claude-opus-4"  # type: ignore[union-attr]
    for asked in ("best", "claude-opus-4"):
        chosen = choose(asked, layers, {"team:a": 0.8}.__getitem__)
        assert chosen == Chosen("claude-sonnet-4-5", "limits.teams.a.downgrade: over 80% of the budget of the team a")
