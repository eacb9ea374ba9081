"""FirstProvider: whose limits are checked before a call, and whose key pays for it."""

from typing import Any

import pytest

from sluicegate.core.formats.surfaces import format_at
from sluicegate.settings import Settings
from sluicegate.settings.identity import Identity
from sluicegate.settings.providers import Provider
from sluicegate.settings.routes import Route, Target
from sluicegate.settings.secret import Secret
from sluicegate.stages.limiter.first_provider import FirstProvider
from sluicegate.testing import make_exchange, make_flow, quiet

OURS = Provider(kind="anthropic", keys=(Secret("env:OURS"),))
THEIRS = Provider(kind="anthropic")
ELSEWHERE = (True, "elsewhere.example", 443)


def first(settings: Settings) -> FirstProvider:
    return FirstProvider(settings, "anthropic")


def test_the_first_target_of_the_first_route_that_matches() -> None:
    """Without a route the first provider, without a provider the default one."""
    routes = (
        Route(model="claude-opus-*", targets=(Target(provider="b"), Target(provider="a"))),
        Route(model="claude-*", targets=(Target(provider="c"),)),
    )
    providers = {"a": THEIRS, "b": THEIRS, "c": THEIRS}
    routed = first(quiet(providers=providers, routes=routes))
    assert [routed.of(model) for model in ("claude-opus-4", "claude-haiku-4-5", "gpt-5")] == ["b", "c", "a"]
    assert first(quiet(providers=providers)).of("any") == "a"
    assert first(quiet()).of("any") == "anthropic"


@pytest.mark.parametrize(
    ("exchange", "path", "settings", "pays"),
    [
        ({}, "/v1/messages", {"providers": {"a": OURS}}, True),
        ({}, "/v1/messages", {"providers": {"a": THEIRS}}, False),
        ({}, "/v1/messages", {}, False),
        ({}, "/v1/messages", {"identity": Identity(mode="keys")}, True),
        ({"door": "regular", "origin": ELSEWHERE}, "/v1/messages", {"providers": {"a": OURS}}, False),
        ({"door": "regular"}, "/v1/messages", {"providers": {"a": OURS}}, True),
        ({"door": "regular"}, "/elsewhere", {"providers": {"a": OURS}}, False),
        ({"door": "reverse"}, "/elsewhere", {"providers": {"a": OURS}}, True),
    ],
)
def test_who_pays(exchange: dict[str, Any], path: str, settings: dict[str, Any], pays: bool) -> None:
    """The gate, if it sends a key of its own; not for a destination that the client chose."""
    made = quiet(**settings)
    x = make_exchange(make_flow(path=path), settings=made, surface=format_at("POST", path).name, **exchange)
    assert first(made).is_paid_by_gate(x) is pays
