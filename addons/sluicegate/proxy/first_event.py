"""The beginning of an answer: how its first look is taken, and the upstream's own message in a failed answer."""

from __future__ import annotations

import json
from typing import Final

from mitmproxy import http

from sluicegate.core.formats.first_look import MAX_HELD, FirstLook
from sluicegate.core.formats.messages.format import MESSAGES
from sluicegate.core.wire.encoding import DecodeError, Decoder, UnknownEncoding, decoder
from sluicegate.core.wire.eventstream import CONTENT_TYPE as BINARY
from sluicegate.exchange.exchange import Exchange

__all__ = ["asks_for_stream", "decoded", "first_look", "words_of"]

_MAX_DECODED: Final = 16 * MAX_HELD


def first_look(x: Exchange, response: http.Response, *, left: bool) -> FirstLook | None:
    """How to look at the beginning of this answer; None if it is not judged. `left`: another attempt may follow.

    The translation's bytes for the client go through a transform of their own.
    """
    if not x.inference:
        return None
    says, content_type, to_events = x.format.event_says, response.headers.get("content-type", ""), None
    if translation := x.routing.translation:
        plan = translation.plan_response(response, "", 0)
        content_type, to_events = plan.content_type or content_type, plan.transform
        if translation.client_request is not None:
            says = MESSAGES.event_says
    kind = content_type.lower()
    if kind.startswith(BINARY) and to_events is None:
        return None
    return FirstLook(
        says,
        asked_stream=asks_for_stream(x),
        is_stream=kind.startswith(("text/event-stream", BINARY)),
        patient=left,
        encoding=response.headers.get("content-encoding", ""),
        to_events=to_events,
    )


def asks_for_stream(x: Exchange) -> bool:
    return x.format.answers and x.facts is not None and x.facts.stream


def _decoder(headers: http.Headers) -> Decoder | None:
    try:
        return decoder(headers.get("content-encoding", ""), _MAX_DECODED)
    except UnknownEncoding:
        return None


def decoded(headers: http.Headers | None, body: bytes) -> bytes:
    """What has arrived of the body of a failed answer, without its content encoding; b"" if that cannot be undone."""
    coding = _decoder(headers) if headers and body else None
    try:
        return coding.feed(body) if coding else b""
    except DecodeError:
        return b""


def words_of(x: Exchange | None, response: http.Response, body: bytes) -> str:
    """The message of a failed answer, for a client that was already committed to a stream."""
    body = decoded(response.headers, body)
    if x and x.routing.translation and (verdict := x.routing.translation.verdict(response, body)):
        return f"HTTP {verdict.status}: {verdict.message[:300]}"
    try:
        said = json.loads(body)["error"]["message"]
        return f"HTTP {response.status_code}: {str(said)[:300]}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"the upstream answered HTTP {response.status_code}"
