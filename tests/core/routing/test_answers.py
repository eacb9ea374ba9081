"""What an answer means for the attempt, its target and its key."""

from dataclasses import replace
from typing import Any

import pytest

from sluicegate.core.routing.answers import (
    AnswerVerdict,
    Situation,
    asks_too_long,
    classify,
    may_be_about_thinking,
    read_failure,
    refused_betas,
    without_thinking_if_refused,
)
from sluicegate.core.routing.attempts import Failed, Plan, Queue
from sluicegate.core.routing.quota import SPENT_S

TWO = Situation(Plan(["a", "b"]), left=True, own_key=True, may_strip_thinking=False)
ONE = replace(TWO, plan=Plan(["a"]))
CLIENTS = replace(ONE, own_key=False)
PINNED = replace(TWO, plan=Plan(["a", "b"], pinned=True))
QUEUED = replace(ONE, plan=Plan(["a"], queue=Queue()))


@pytest.mark.parametrize(
    ("status", "should_retry", "now", "verdict"),
    [
        (200, None, TWO, "answer"),
        (404, None, TWO, "answer"),
        (529, None, TWO, "retry"),
        (529, None, replace(TWO, left=False), "final_failure"),
        (529, "false", TWO, "retry"),
        (529, "false", ONE, "final_failure"),
        (529, "false", PINNED, "final_failure"),
        (529, "true", ONE, "retry"),
        (529, "false", QUEUED, "retry"),
        (401, None, TWO, "retry"),
        (401, None, ONE, "key_fault"),
        (402, None, PINNED, "key_fault"),
        (401, None, replace(TWO, left=False), "key_fault"),
        (401, None, replace(TWO, own_key=False), "answer"),
        (400, None, TWO, "look"),
        (403, None, replace(ONE, left=False), "look"),
        (400, None, CLIENTS, "answer"),
        (403, None, CLIENTS, "answer"),
        (400, None, replace(CLIENTS, may_strip_thinking=True), "look"),
        (400, None, replace(CLIENTS, may_drop_betas=True), "look"),
        (400, None, replace(CLIENTS, may_strip_thinking=True, left=False), "answer"),
        (400, None, replace(CLIENTS, plan=Plan(["a"], statuses=frozenset({400}))), "retry"),
    ],
)
def test_a_verdict_for_each_answer(status: int, should_retry: str | None, now: Situation, verdict: AnswerVerdict) -> None:
    """Another target takes over from one that asks to be left alone; a key is at fault only if it is ours."""
    assert classify(status, should_retry, now) == verdict


@pytest.mark.parametrize("status", [500, 503])
def test_a_request_that_must_not_be_repeated_keeps_its_error(status: int) -> None:
    """The client decides; an answer that says the request was turned away is tried again all the same."""
    once = replace(TWO, plan=Plan(["a", "b"], repeatable=False))
    assert classify(status, None, once) == "answer"
    assert classify(429, None, once) == "retry"


@pytest.mark.parametrize(
    ("headers", "too_long"),
    [
        ({"retry-after": "3600"}, True),
        ({"retry-after-ms": "60001"}, True),
        ({"retry-after": "Thu, 01 Jan 1970 01:00:00 GMT"}, True),
        ({"retry-after": "60"}, False),
        ({"retry-after": "soon"}, False),
        ({}, False),
        ({"retry-after": "3600", "x-should-retry": "true"}, False),
        ({"retry-after": "3600", "x-should-retry": "false"}, False),
    ],
)
def test_a_wait_that_no_client_should_sit_through(headers: dict[str, str], too_long: bool) -> None:
    """Longer than configured, however it is stated; what the provider itself says of a retry is kept."""
    assert asks_too_long(headers, 0.0, 60.0) is too_long


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("Unexpected value(s) `a-2026-01-01` for the `anthropic-beta` header.", ("a-2026-01-01",)),
        ("invalid beta flag: a-2026-01-01, b-2026-01-01", ("a-2026-01-01", "b-2026-01-01")),
        ("invalid beta flag", ()),
        ("invalid beta flag: aa-2026-01-01", ()),
        ("max_tokens: a-2026-01-01", ()),
    ],
)
def test_the_beta_flags_that_an_error_names(message: str, named: tuple[str, ...]) -> None:
    """Whole names of flags that the request had, in an error about flags."""
    assert refused_betas(("a-2026-01-01", "b-2026-01-01"), message) == named


def read(status: int | None, headers: dict[str, str] | None, body: bytes = b"", **more: Any) -> Failed:
    return read_failure(0, "status", status, headers, body, 1000.0, **{"own_key": True, **more})


def test_a_failure_without_an_answer() -> None:
    """Says nothing of the target, unless the gate itself could not make the request for it."""
    assert read(None, None) == Failed(0, "status", None)
    assert read_failure(1, "refused", None, None, b"", 0.0, own_key=False).should_retry is False


def test_a_failure_with_an_answer() -> None:
    """Its retry-after and x-should-retry are read; unknown stays unknown."""
    assert read(529, {}) == Failed(0, "status", 529)
    found = read(529, {"retry-after": "7", "x-should-retry": "true"})
    assert (found.retry_after_s, found.should_retry, found.spent) == (7.0, True, False)
    assert read(529, {"x-should-retry": "false"}).should_retry is False


@pytest.mark.parametrize("status", [401, 402])
def test_a_key_that_is_not_accepted_is_spent(status: int) -> None:
    """So that no attempt of the request uses it again; a client's own key is not ours to judge."""
    assert read(status, {}).spent
    assert not read(status, {}, own_key=False).spent


def test_a_quota_that_the_provider_calls_used_up_rests_for_long() -> None:
    """For as long as an hour at least, unless the provider says longer."""
    assert read(429, {}).spent is False
    found = read(429, {"retry-after": "5"}, says_spent=True)
    assert (found.spent, found.retry_after_s) == (True, SPENT_S)
    assert read(429, {"retry-after": "5"}, own_key=False, says_spent=True).spent is False


REFUSED = b'{"error":{"message":"messages.1.content.0: Invalid `signature` in `thinking` block"}}'


def test_the_history_goes_without_its_thinking_only_if_that_was_refused() -> None:
    """Another 400 changes nothing, nor does a request without thinking or one that cannot be read."""
    block = b'{"type":"thinking","thinking":"x","signature":"s"}'
    body = b'{"messages":[{"role":"assistant","content":[' + block + b',{"type":"text","text":"a"}]}]}'
    stripped = without_thinking_if_refused(body, REFUSED)
    assert stripped is not None
    assert b"thinking" not in stripped
    assert without_thinking_if_refused(body, b'{"error":{"message":"max_tokens: too large"}}') is None
    assert without_thinking_if_refused(b'{"messages":[{"role":"user","content":"hi"}]}', REFUSED) is None
    assert without_thinking_if_refused(b"[", REFUSED) is None
    assert may_be_about_thinking(body)
    assert not may_be_about_thinking(b'{"messages":[]}')
