"""proxy/first_event.py: whether a stream begins with a failure, however its bytes are cut."""

from __future__ import annotations

import gzip
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http

from sluicegate.core.errors import ERROR_STATUS
from sluicegate.exchange.exchange import Exchange
from sluicegate.proxy.first_event import Begins, Fails, FirstEvent, decoded, words_of
from sluicegate.testing import make_exchange

PING = b"event: ping\ndata: {}\n\n"
START = b'event: message_start\ndata: {"type":"message_start"}\n\n'


def error(kind: str) -> bytes:
    return b"event: error\ndata: " + json.dumps({"type": "error", "error": {"type": kind}}).encode() + b"\n\n"


def answer(status: int = 200, **headers: str) -> http.Response:
    response = http.Response.make(status, b"", {"content-type": "text/event-stream"})
    for name, value in headers.items():  # `make` takes an encoding off that it does not know
        response.headers[name] = value
    return response


def verdict(data: bytes, cuts: list[int], *, ended: bool = True, **headers: str) -> Any:
    """What is said first, when the bytes come in these pieces."""
    first = FirstEvent(make_exchange(), answer(**headers))
    pieces, at = [], 0
    for cut in sorted({c % (len(data) + 1) for c in cuts} | {len(data)}):
        pieces.append(data[at:cut])
        at = cut
    for n, piece in enumerate(pieces):
        said = first.feed(piece, ended=ended and n == len(pieces) - 1)
        if said is not None:
            return said
    return None


@given(st.lists(st.integers(0, 500), max_size=8), st.sampled_from(sorted(ERROR_STATUS)))
def test_an_error_as_the_first_event(cuts: list[int], kind: str) -> None:
    """Pings do not count. Errors of the moment are failures, with the status that says the same; others are answers."""
    said = verdict(PING + error(kind) + START, cuts)
    if kind in ("overloaded_error", "rate_limit_error", "api_error", "timeout_error"):
        assert isinstance(said, Fails)
        assert said.status == ERROR_STATUS[kind]
        assert kind in said.message
    else:
        assert said == Begins()


@given(st.lists(st.integers(0, 500), max_size=8))
def test_a_good_beginning(cuts: list[int]) -> None:
    """Any other event; an error after it is not looked at."""
    assert verdict(PING + START + error("overloaded_error"), cuts) == Begins()


@pytest.mark.parametrize(("data", "ended", "said"), [(b"", False, None), (PING, False, None), (PING, True, Begins())])
def test_before_the_first_event(data: bytes, ended: bool, said: Any) -> None:
    """Nothing is known yet; a stream that ends with pings only is passed on."""
    assert verdict(data, [], ended=ended) == said


def test_a_stream_without_a_byte_has_failed() -> None:
    """It ended before its first event."""
    said = verdict(b"", [])
    assert isinstance(said, Fails)
    assert said.status == 500


def test_content_encodings() -> None:
    """One that can be undone is; what cannot be read is passed on."""
    assert isinstance(verdict(gzip.compress(error("overloaded_error")), [10], **{"content-encoding": "gzip"}), Fails)
    assert verdict(error("overloaded_error"), [], **{"content-encoding": "gzip"}) == Begins()
    assert verdict(error("overloaded_error"), [], **{"content-encoding": "unknown"}) == Begins()


@pytest.mark.parametrize(
    "data", [b"not json", b"[]", b'{"error":3}', b"{}", b'{"error":{"type":"nothing we know"}}', b"[" * 100_000]
)
def test_an_error_of_another_form(data: bytes) -> None:
    """Without a type it is taken for a failure of the provider's; one of an unknown type is passed on."""
    said = verdict(b"event: error\ndata: " + data + b"\n\n", [])
    assert (said == Begins()) is (b"nothing we know" in data)


@pytest.mark.parametrize(
    ("content_type", "reads"), [("text/event-stream", True), ("Text/Event-Stream; x=1", True), ("application/json", False)]
)
def test_which_answers_can_be_read(content_type: str, reads: bool) -> None:
    """Event streams; with a translation, what that can read."""
    response = http.Response.make(200, b"", {"content-type": content_type})
    assert FirstEvent.can_read(make_exchange(), response) is reads


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
