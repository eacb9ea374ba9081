"""proxy/first_event.py: which answers are looked at and how, and the words of a failure."""

from __future__ import annotations

import gzip
import json
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import http

from sluicegate.core.formats.first_look import Begins, Fails
from sluicegate.core.formats.surfaces import format_at
from sluicegate.exchange.exchange import Exchange
from sluicegate.proxy.first_event import decoded, first_look, words_of
from sluicegate.testing import make_exchange, make_flow


def answer(status: int = 200, content_type: str = "text/event-stream") -> http.Response:
    return http.Response.make(status, b"", {"content-type": content_type})


def asking(path: str = "/v1/messages", *, stream: bool = True, method: str = "POST") -> Exchange:
    flow = make_flow(method, path, json.dumps({"model": "m", "stream": stream}).encode())
    return make_exchange(flow, surface=format_at(method, path).name)


@pytest.mark.parametrize(
    ("x", "looked_at"),
    [
        (asking(), True),
        (asking("/v1/messages/count_tokens"), True),
        (asking("/v1/chat/completions"), True),
        (asking("/v1/models"), False),
        (asking("/v1/files"), False),
        (asking(method="OPTIONS"), False),
    ],
)
def test_which_answers_are_looked_at(x: Exchange, looked_at: bool) -> None:
    """Those of a model and counts, in every format."""
    assert (first_look(x, answer(), left=True) is not None) is looked_at


def test_a_count_is_never_a_stream() -> None:
    """Whatever its request says."""
    look = first_look(asking("/v1/messages/count_tokens"), answer(content_type="application/json"), left=True)
    assert look
    assert look.feed(b'{"input_tokens":1}', ended=True) == Begins()


def test_frames_that_nothing_translates_are_passed_on() -> None:
    """Their events cannot be read here."""
    assert first_look(asking(), answer(content_type="application/vnd.amazon.eventstream"), left=True) is None


def test_a_translation_says_what_the_bytes_are() -> None:
    """Its transform makes Messages of them, even where the client's own format is another."""
    x = asking("/v1/chat/completions")
    plan: Any = SimpleNamespace(content_type="text/event-stream", transform=None)
    x.routing.translation = SimpleNamespace(  # type: ignore[assignment]
        plan_response=lambda *_: plan,
        client_request=object(),
        facts=x.facts,
        as_asked=False,
        prepared=SimpleNamespace(body=b""),
    )
    look = first_look(x, answer(content_type="application/octet-stream"), left=True)
    assert look
    said = look.feed(b'event: error\ndata: {"error":{"type":"overloaded_error"}}\n\n', ended=False)
    assert isinstance(said, Fails)
    assert said.status == 529


def test_the_body_of_a_failure() -> None:
    """Without its content encoding, as far as it came; nothing if that cannot be undone."""
    packed = gzip.compress(b"words")
    coded = http.Headers(content_encoding="gzip")
    assert decoded(coded, packed) == b"words"
    assert decoded(coded, packed[:-9]) in (b"words", b"wor", b"")
    assert decoded(coded, b"plain") == b""
    assert decoded(http.Headers(server="s"), b"plain") == b"plain"
    assert decoded(None, b"plain") == b""
    assert decoded(http.Headers(content_encoding="unknown"), b"x") == b""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":{"message":"no such model"}}', "HTTP 404: no such model"),
        (b"<html>", "the upstream answered HTTP 404"),
        (b'{"error":"x"}', "the upstream answered HTTP 404"),
        (b'{"error":{"message":"' + b"m" * 1000 + b'"}}', "HTTP 404: " + "m" * 300),
    ],
)
def test_the_words_of_a_failure(body: bytes, words: str) -> None:
    """The provider's message, cut to 300 characters; the status alone if there is none."""
    assert words_of(None, answer(404), body) == words


def test_the_words_are_the_translations_where_there_is_one() -> None:
    """It knows where its provider puts the message."""
    x: Exchange = make_exchange()
    x.routing.translation = SimpleNamespace(verdict=lambda *_: SimpleNamespace(status=429, message="slow down"))  # type: ignore[assignment]
    assert words_of(x, answer(400), b"{}") == "HTTP 429: slow down"
