"""proxy/answer_head.py: what is decided by the head of an answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import http

from sluicegate.exchange.release import Release, Target, snapshot
from sluicegate.proxy.answer_head import follows_pings, is_peeked_at, native_status, unfit
from sluicegate.testing import make_exchange, make_flow

STREAM = {"content-type": "text/event-stream"}


def answer(status: int = 200, headers: dict[str, str] | None = None) -> http.Response:
    return http.Response.make(status, b"", headers or STREAM)


@pytest.mark.parametrize(("upgrade", "fits"), [(True, True), (False, False), (None, False)])
def test_a_protocol_is_switched_only_if_that_was_released(upgrade: bool | None, fits: bool) -> None:
    """101 without a released upgrade, or without a release, is not passed on."""
    x = make_exchange()
    if upgrade is not None:
        x.routing.release = Release(Target(True, "h", 443), snapshot(make_flow().request), upgrade=upgrade)
    assert (unfit(x, answer(101), validate=True) is None) is fits


def test_a_malformed_head_is_not_passed_on() -> None:
    """Unless mitmproxy's option says so."""
    response = answer(200, {"content-type": "text/plain"})
    response.headers.fields = (*response.headers.fields, (b"content-length", b"1"), (b"content-length", b"2"))
    assert unfit(make_exchange(), response, validate=True)
    assert unfit(make_exchange(), response, validate=False) is None
    assert unfit(make_exchange(), answer(), validate=True) is None


@pytest.mark.parametrize(("left", "ended", "peeked"), [(True, False, True), (False, False, False), (False, True, True)])
def test_a_stream_is_peeked_at_while_another_attempt_may_follow(left: bool, ended: bool, peeked: bool) -> None:
    """Or if it has ended already."""
    x = make_exchange()
    x.routing.attempts = SimpleNamespace(left=left)  # type: ignore[assignment]
    assert is_peeked_at(x, answer(), ended=ended) is peeked


@pytest.mark.parametrize("response", [answer(500), answer(200, {"content-type": "application/json"})])
def test_other_answers_are_not(response: http.Response) -> None:
    """Errors are collected, JSON has no events; nor is anything looked at that no attempt waits for."""
    x = make_exchange()
    x.routing.attempts = SimpleNamespace(left=True)  # type: ignore[assignment]
    assert not is_peeked_at(x, response, ended=False)
    x.routing.attempts = None
    assert not is_peeked_at(x, answer(), ended=True)


def test_what_a_translation_says_counts() -> None:
    """The status and the content type are those of the Messages API."""
    translation: Any = SimpleNamespace(native_status=lambda _: 529, content_type=lambda _: "text/event-stream")
    x, json = make_exchange(), answer(200, {"content-type": "application/json"})
    assert native_status(x, json) == 200
    assert not follows_pings(x, json)
    x.routing.translation = translation
    assert native_status(x, json) == 529
    assert follows_pings(x, json)
    assert follows_pings(None, answer())
    assert not follows_pings(None, answer(404))
