"""proxy/answer_head.py: what is decided by the head of an answer."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import http

from sluicegate.exchange.release import Release, Target, snapshot
from sluicegate.proxy.answer_head import follows_pings, lacks_stream, native_status, unfit
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


@pytest.mark.parametrize(("stream", "content_type", "lacks"), [
    (True, "application/json", True), (True, "text/event-stream", False), (False, "application/json", False),
])  # fmt: skip
def test_an_answer_in_place_of_a_stream(stream: bool, content_type: str, lacks: bool) -> None:
    """It counts what the translation makes of the answer; without one the first look decides."""
    x = make_exchange(make_flow(body=json.dumps({"model": "m", "stream": stream}).encode()))
    assert not lacks_stream(x, answer(200, {"content-type": content_type}))
    facts = x.facts
    made: Any = SimpleNamespace(content_type=lambda _: content_type, prepared=SimpleNamespace(body=None), as_asked=False)
    made.facts = facts
    x.routing.translation = made
    assert lacks_stream(x, answer()) is lacks


def test_what_a_translation_says_counts() -> None:
    """The status and the content type are those of the Messages API."""
    translation: Any = SimpleNamespace(native_status=lambda _: 529, content_type=lambda _: "text/event-stream")
    x, other = make_exchange(), answer(200, {"content-type": "application/json"})
    assert native_status(x, other) == 200
    assert not follows_pings(x, other)
    x.routing.translation = translation
    assert native_status(x, other) == 529
    assert follows_pings(x, other)
    assert follows_pings(None, answer())
    assert not follows_pings(None, answer(404))
