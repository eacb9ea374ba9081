"""Attempts: what the failure of one target means for the next. The ladder itself: tests/core/test_attempts.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from mitmproxy import http

from sluicegate.core.errors import Refused
from sluicegate.core.formats.surfaces import format_at
from sluicegate.core.routing.attempts import Failed
from sluicegate.exchange.call import Failure
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.lifetime import Lifetime
from sluicegate.gate.policy import Policy
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.settings.audit import Audit
from sluicegate.settings.providers import Credentials, Provider
from sluicegate.settings.routes import (
    Route,
    Target,
)
from sluicegate.settings.secret import Secret
from sluicegate.stages.router.attempts import Attempts, is_repeatable
from sluicegate.stages.router.stage import Router
from sluicegate.testing import make_exchange, make_flow

KEYLESS = Provider(
    kind="vertex",
    project="p",
    location="us-east5",
    credentials=Credentials(service_account="/nowhere/no-such-account.json"),
)
CHAT = Provider(kind="openai", base_url="http://127.0.0.1:9/v1", keys=(Secret("env:KEY"),))
ANTHROPIC = Provider(kind="anthropic", keys=(Secret("env:KEY"),))
AWS = Provider(kind="bedrock", region="us-west-2", keys=(Secret("env:KEY"),))
ALL = {"anthropic2": ANTHROPIC, "keyless": KEYLESS, "chat": CHAT, "anthropic": ANTHROPIC, "aws": AWS}


def settings(*targets: Target) -> Settings:
    routes = (Route(model="*", targets=targets),)
    return Settings(providers=ALL, routes=routes, audit=Audit(log="off"))


async def routed(
    *names: str, services: Services | None = None, betas: bytes = b"", **body: Any
) -> tuple[Exchange, Services]:
    services = services or Services({"KEY": "k"})
    content = msgspec.json.encode({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}], **body})
    headers = [(b"anthropic-beta", betas)] if betas else []
    x = make_exchange(make_flow(path="/v1/messages", body=content, headers=headers))
    config = settings(*(Target(provider=name) for name in names))
    if waiting := Router(config, services).request(x):
        await waiting
    return x, services


async def test_no_credential_is_a_failed_attempt() -> None:
    """The next target serves, and the record tells of the first."""
    x, _ = await routed("keyless", "chat")
    assert x.routing.target
    assert x.routing.target.provider == "chat"
    assert [(t["target"], t["cause"]) for t in x.routing.failed_attempts] == [("keyless", "refused")]
    assert "no Google token" in x.routing.failed_attempts[0]["error"]


async def test_no_credential_anywhere_is_refused() -> None:
    """With the reason, and without a wait for the same target."""
    with pytest.raises(Refused, match="Google token"):
        await routed("keyless")
    with pytest.raises(Refused, match="Google token"):
        await routed("keyless", "keyless")


async def test_a_target_that_can_not_be_asked_is_passed_over() -> None:
    """After a failure: what the second target has no word for goes to the third; a failed answer keeps its reader."""
    x, _ = await routed("anthropic", "chat", "anthropic", tools=[{"type": "web_search_20250305", "name": "web_search"}])
    attempts, first = x.routing.attempts, x.routing.translation
    assert isinstance(attempts, Attempts)
    assert await attempts.again(x, Failure("status", "HTTP 529", 529, http.Headers()))
    assert [t["cause"] for t in attempts.failed_attempts] == ["status", "refused"]
    assert x.routing.target
    assert x.routing.target.provider == "anthropic"
    x, _ = await routed("anthropic", "chat", tools=[{"type": "web_search_20250305", "name": "web_search"}])
    first = x.routing.translation
    assert x.routing.attempts
    x.routing.attempts.plan = replace(x.routing.attempts.plan, attempts=2)
    assert not await x.routing.attempts.again(x, Failure("status", "HTTP 529", 529, http.Headers()))
    assert x.routing.translation is first


async def test_a_spent_balance_in_a_provider_s_own_words() -> None:
    """The key rests for long, with an alarm, though the answer names no time."""
    x, services = await routed("chat", "anthropic")
    assert x.routing.attempts
    body = b'{"error":{"message":"no money","type":"x","code":"billing_not_active"}}'
    x.flow.response = http.Response.make(429, b"", {"content-type": "application/json"})
    assert await x.routing.attempts.again(x, Failure("status", "HTTP 429", 429, http.Headers(), body))
    assert services.alarms["key.spent"] == 1
    assert x.routing.target
    assert x.routing.target.provider == "anthropic"


def said(status: int, message: str) -> tuple[http.Response, bytes]:
    body = msgspec.json.encode({"type": "error", "error": {"type": "invalid_request_error", "message": message}})
    return http.Response.make(status, body, {"content-type": "application/json"}), body


@pytest.mark.parametrize("status", [400, 403])
async def test_account_trouble_benches_the_key(status: int) -> None:
    """The next target serves, later requests pass the key over, an operator is told; other refusals are the client's."""
    x, services = await routed("anthropic", "chat")
    attempts = x.routing.attempts
    assert isinstance(attempts, Attempts)
    response, body = said(status, "Your credit balance is too low to access the Anthropic API.")
    assert attempts.classify(x, response) == "look"
    assert attempts.fails(x, response, body)
    other, about_it = said(status, "max_tokens: too many")
    assert not attempts.fails(x, other, about_it)
    x.flow.response = response
    assert await attempts.again(x, Failure("status", f"HTTP {status}", status, response.headers, body))
    assert x.routing.target
    assert x.routing.target.provider == "chat"
    assert services.alarms["key.spent"] == 1
    assert list(services.health.resting) == ["anthropic"]
    later, _ = await routed("anthropic", "chat", services=services)
    assert later.routing.target
    assert later.routing.target.provider == "chat"


async def test_without_another_target_the_client_gets_the_trouble() -> None:
    """Once, and the operator is told all the same."""
    x, services = await routed("anthropic")
    response, body = said(400, "This organization has been disabled.")
    x.flow.response = response
    assert x.routing.attempts
    assert not await x.routing.attempts.again(x, Failure("status", "HTTP 400", 400, response.headers, body))
    assert services.alarms["key.refused"] == 1


async def test_a_beta_flag_that_is_refused_is_left_out() -> None:
    """The same target once more without it, later requests too, which say so; another target still gets it."""
    flags = b"old-2026-01-01, new-2027-01-01"
    x, services = await routed("anthropic", "anthropic2", betas=flags)
    attempts = x.routing.attempts
    assert isinstance(attempts, Attempts)
    response, body = said(400, "Unexpected value(s) `new-2027-01-01` for the `anthropic-beta` header.")
    x.flow.response = response
    assert attempts.fails(x, response, body)
    failure = Failure("status", "HTTP 400", 400, response.headers, body)
    assert await attempts.again(x, failure)
    assert x.routing.target
    assert x.routing.target.provider == "anthropic"
    assert x.request.headers["anthropic-beta"] == "old-2026-01-01"
    assert x.routing.translation
    assert x.routing.translation.dropped == ("beta new-2027-01-01",)
    assert services.alarms["beta.refused"] == 1
    assert not attempts.fails(x, response, body)
    assert not await attempts.again(x, failure)
    later, _ = await routed("anthropic", services=services, betas=flags)
    assert later.request.headers["anthropic-beta"] == "old-2026-01-01"
    other, _ = await routed("anthropic2", services=services, betas=flags)
    assert other.request.headers["anthropic-beta"] == flags.decode()


async def test_a_model_that_is_denied_leaves_the_key_to_other_models() -> None:
    """Where the client names the model, a client could bench the key for all: the next target serves, and no more."""
    x, services = await routed("anthropic", "chat")
    response, body = said(403, "Your API key does not have access to this model")
    x.flow.response = response
    assert x.routing.attempts
    assert await x.routing.attempts.again(x, Failure("status", "HTTP 403", 403, response.headers, body))
    assert services.alarms["key.model_denied"] == 1
    assert services.health.resting == {}


async def test_a_status_that_the_configuration_calls_retryable() -> None:
    """400 as well: the next target gets the request."""
    x, _ = await routed("anthropic", "chat")
    attempts = x.routing.attempts
    assert isinstance(attempts, Attempts)
    response, body = said(400, "max_tokens: too many")
    x.flow.response = response
    assert not await attempts.again(x, Failure("status", "HTTP 400", 400, response.headers, body))
    attempts.plan = replace(attempts.plan, statuses=frozenset({400}))
    assert attempts.fails(x, response, body)
    assert await attempts.again(x, Failure("status", "HTTP 400", 400, response.headers, body))
    assert x.routing.target
    assert x.routing.target.provider == "chat"


async def test_classify_changes_nothing_and_record_does() -> None:
    """A verdict can be asked for twice; only recording it benches the key and raises the alarm."""
    x, services = await routed("chat")
    attempts = x.routing.attempts
    assert isinstance(attempts, Attempts)
    refused = http.Response.make(401, b"", {"retry-after": "9000"})
    for _ in range(2):
        assert attempts.classify(x, refused) == "key_fault"
    assert (dict(services.alarms), services.health.resting, attempts.history) == ({}, {}, [])
    attempts.record(x, refused, "key_fault")
    assert services.alarms["key.refused"] == 1
    assert "chat" in services.health.resting
    assert attempts.history == []


async def test_a_final_failure_is_recorded_with_what_it_says_of_the_target() -> None:
    """The target rests, and the client is not told to wait longer than it has to; a retry and an answer change nothing."""
    x, services = await routed("chat", "anthropic")
    attempts = x.routing.attempts
    assert isinstance(attempts, Attempts)
    overloaded = http.Response.make(529, b"", {"retry-after": "9000"})
    assert attempts.classify(x, overloaded) == "retry"
    attempts.record(x, overloaded, "retry")
    attempts.record(x, http.Response.make(200), "answer")
    assert (services.health.resting, attempts.history) == ({}, [])
    attempts.plan = replace(attempts.plan, attempts=1)
    assert attempts.classify(x, overloaded) == "final_failure"
    attempts.record(x, overloaded, "final_failure")
    assert list(services.health.resting) == ["chat"]
    assert [f.status for f in attempts.history] == [529]
    assert overloaded.headers["retry-after"] == "1"  # the other target can serve at once


def test_the_regular_door_opens_all_hosts_that_routes_name() -> None:
    """Those of other regions as well."""
    config = settings(Target(provider="aws", region="us-east-1"), Target(provider="chat"))
    policy = Policy(config, (Router,), Services({"KEY": "k"}))
    assert {"bedrock-runtime.us-west-2.amazonaws.com", "bedrock-runtime.us-east-1.amazonaws.com"} <= policy.decrypts
    assert {"us-east5-aiplatform.googleapis.com", "api.anthropic.com"} <= policy.decrypts


def attempts_of(x: Exchange) -> Attempts:
    assert isinstance(x.routing.attempts, Attempts)
    return x.routing.attempts


async def test_a_request_that_names_a_file_stays_with_its_provider() -> None:
    """No other target knows the file: after the failure there is none to go to, and elsewhere nothing would serve."""
    filed = [{"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}]
    x, _ = await routed("anthropic", "chat", messages=filed)
    attempts = attempts_of(x)
    assert not attempts.elsewhere(x, 529)
    assert attempts.plan.pinned
    x, _ = await routed("anthropic", "chat", messages=filed)
    attempts = attempts_of(x)
    attempts.plan = replace(attempts.plan, attempts=3, backoff=replace(attempts.plan.backoff, start_s=0, max_s=0))
    assert await attempts.again(x, Failure("status", "HTTP 529", 529, http.Headers()))
    assert x.routing.target
    assert x.routing.target.provider == "anthropic"
    x, _ = await routed("anthropic", "chat")
    assert attempts_of(x).elsewhere(x, 529)
    assert not attempts_of(x).elsewhere(x, 400)


@pytest.mark.parametrize(("allowed", "failures", "left"), [(1, 0, False), (2, 0, True), (2, 1, False), (3, 1, True)])
async def test_attempts_are_counted_with_the_one_under_way(allowed: int, failures: int, left: bool) -> None:
    """An attempt that follows is one of `retry.attempts`; an attempt without its thinking costs none."""
    x, _ = await routed("anthropic", "chat")
    attempts = attempts_of(x)
    attempts.plan = replace(attempts.plan, attempts=allowed)
    attempts.history = [Failed(0, "status", 529)] * failures
    assert attempts.left is left


LIMITED = http.Headers(
    [
        (b"anthropic-ratelimit-tokens-limit", b"100"),
        (b"anthropic-ratelimit-tokens-remaining", b"20"),
        (b"anthropic-ratelimit-tokens-reset", b"2999-01-01T00:00:00Z"),
    ]
)


@pytest.mark.parametrize(("status", "seen"), [(429, 0.2), (402, 0.2), (500, 1.0)])
async def test_a_refusal_tells_how_much_of_a_keys_limits_is_left(status: int, seen: float) -> None:
    """A 429 or 402 of our own key; what comes with another failure is not about limits."""
    x, services = await routed("anthropic", "chat")
    assert await attempts_of(x).again(x, Failure("status", f"HTTP {status}", status, LIMITED))
    assert services.quotas.share_left("anthropic", 0) == seen
    assert services.alarms["key.spent"] == (status == 402)


async def test_an_answer_tells_it_too_where_there_is_a_choice() -> None:
    """With a single candidate the numbers would never be looked at."""
    for names, seen in ((("anthropic", "chat"), 0.2), (("anthropic",), 1.0)):
        x, services = await routed(*names)
        attempts_of(x).answered(http.Response.make(200, b"", LIMITED))
        assert services.quotas.share_left("anthropic", 0) == seen


async def test_a_failure_without_an_answer_has_nothing_to_say_of_limits() -> None:
    """A connection that broke: no headers, no alarm of a spent key, and the next target is asked."""
    x, services = await routed("chat", "anthropic")
    assert await attempts_of(x).again(x, Failure("reset", "the connection broke"))
    assert dict(services.alarms) == {}
    assert x.routing.target
    assert x.routing.target.provider == "anthropic"


async def test_the_record_of_a_failed_attempt() -> None:
    """Who failed, how, and after how many milliseconds since it was started."""
    x, _ = await routed("chat", "anthropic")
    attempts = attempts_of(x)
    attempts._tell(Failure("status", "m" * 300, 529), attempts._began + 0.25)
    assert attempts.failed_attempts == [
        {"target": "chat", "cause": "status", "status": 529, "error": "m" * 200, "ms": 250.0}
    ]


THOUGHT = [
    {"role": "user", "content": "hi"},
    {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "text", "text": "a"}],
    },
    {"role": "user", "content": "on"},
]
REFUSED_THINKING = (
    b'{"type":"error","error":{"type":"invalid_request_error",'
    b'"message":"messages.1.content.0: Invalid `signature` in `thinking` block"}}'
)


async def test_refused_thinking_is_left_out_once() -> None:
    """The same target again, which costs no attempt and no rest; a second 400, and one about something else, is final."""
    x, services = await routed("anthropic", "chat", messages=THOUGHT)
    attempts = attempts_of(x)
    failure = Failure("status", "HTTP 400", 400, http.Headers(), REFUSED_THINKING)
    before = attempts.left
    assert await attempts.again(x, failure)
    assert x.routing.target
    assert x.routing.target.provider == "anthropic"
    assert b'"thinking"' not in (x.request.data.content or b"")
    assert [f.status for f in attempts.history] == [400]
    assert attempts.left is before
    assert services.health.resting == {}
    assert [t["status"] for t in attempts.failed_attempts] == [400]
    assert not attempts.fails(x, http.Response.make(400), REFUSED_THINKING)
    assert not await attempts.again(x, replace(failure, body=REFUSED_THINKING))
    x, _ = await routed("anthropic", "chat", messages=THOUGHT)
    assert not await attempts_of(x).again(
        x, Failure("status", "HTTP 400", 400, http.Headers(), b'{"error":{"message":"no"}}')
    )
    assert attempts_of(x).history == []


async def test_who_waits_in_the_queue_is_counted_for_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """`retry.queue.size` is about calls that wait at this moment; other waits do not count."""
    x, services = await routed("anthropic")
    during: list[int] = []

    async def sleep(self: Lifetime, seconds: float) -> bool:
        during.append(services.queued)
        return True

    monkeypatch.setattr(Lifetime, "sleep", sleep)
    assert await attempts_of(x)._waited(x, 5, True)
    assert await attempts_of(x)._waited(x, 5, False)
    assert (during, services.queued) == ([1, 0], 0)


@pytest.mark.parametrize(
    ("method", "path", "repeatable"),
    [
        ("POST", "/v1/messages", True),
        ("POST", "/v1/messages/batches", False),
        ("PATCH", "/v1/files", False),
        ("GET", "/v1/files", True),
        ("DELETE", "/v1/files/f", True),
    ],
)
def test_what_may_be_sent_again(method: str, path: str, repeatable: bool) -> None:
    """A call of a model, and what has no further effect the second time; not an upload or a new batch."""
    x = make_exchange(make_flow(method=method, path=path), format=format_at(method, path))
    assert is_repeatable(x) is repeatable
