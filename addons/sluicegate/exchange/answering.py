"""Translates responses at both edges: from the provider's format to Messages, and from Messages to the client's format.

    provider's bytes → translate_answer → Messages → (the stages' taps) → encode_for_client → client's format

Nothing is translated if the provider takes the client's format, unless a stage reads responses. Usage is read once: before
the first step if the provider's format is Chat Completions, else after it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mitmproxy import http
from mitmproxy.net.http import status_codes

from sluicegate.core.errors import Refused
from sluicegate.core.messages.usage import ResponseReader
from sluicegate.core.wire.encoding import UnknownEncoding, decoder
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.translation import Translation
from sluicegate.providers.base import ResponsePlan

if TYPE_CHECKING:  # loaded when first needed: translation takes a tenth of a second
    from sluicegate.core.formats.chat.usage import ChatReader
    from sluicegate.core.formats.client_format import ClientRequest
    from sluicegate.core.translate.base import Policy

__all__ = ["decode_request", "encode_for_client", "translate_answer"]


def translate_answer(x: Exchange, translation: Translation, response: http.Response) -> ResponseReader | ChatReader:
    """Turn the provider's response into one of the Messages API: add the taps, innermost first, and adjust the head.

    Returns the reader of the usage that the provider reports.
    """
    plan = translation.plan_response(response, x.id, int(time.time()))
    native_type = plan.content_type or response.headers.get("content-type", "")
    changes = plan.changes or translation.client_request is not None or plan.usage == "chat"
    encoding = response.headers.get("content-encoding", "")
    if changes:
        _decode(x, encoding)
        response.headers.pop("content-encoding", None)
    reader: ResponseReader | ChatReader
    if plan.usage == "chat":
        from sluicegate.core.formats.chat.usage import ChatReader

        reader = ChatReader(_chat_type(plan, response.headers.get("content-type", "")), response.status_code)
        x.taps.observe(reader.feed, name="usage", done=reader.end, on_error="skip")
    if plan.transform:
        x.taps.change(plan.transform, name=f"from {translation.provider.kind}")
    if plan.usage == "messages":
        reader = ResponseReader(native_type, "" if changes else encoding, plan.status)
        x.taps.observe(reader.feed, name="usage", done=reader.end, on_error="skip")
    elif plan.transform:
        _watch_errors(x, reader, native_type, plan.status)
    _fix_head(x, response, plan.status, plan.content_type, plan.fields)
    return reader


def _watch_errors(x: Exchange, reader: ResponseReader | ChatReader, native_type: str, status: int) -> None:
    """An error that the translation itself sends to the client counts as one of the answer, too."""
    seen = ResponseReader(native_type, "", status)

    def done() -> None:
        seen.end()
        if reader.facts.error_type is None:
            reader.facts.error_type, reader.facts.error_message = seen.facts.error_type, seen.facts.error_message

    x.taps.observe(seen.feed, name="translated", done=done, on_error="skip")


def _decode(x: Exchange, encoding: str) -> None:
    """The request asked for an answer without a content encoding; if the provider used one, it is decoded."""
    if not encoding or encoding.strip().lower() == "identity":
        return
    try:
        x.taps.change(decoder(encoding), name="content-encoding")
    except UnknownEncoding:
        x.ending.withhold("failed", "the provider's answer has a content encoding that was not requested")


def _chat_type(plan: ResponsePlan, named: str) -> str:
    """The content type under which the usage of a Chat Completions answer is read: as it is translated, whatever the server
    calls it."""
    if plan.transform is None or named.startswith("text/event-stream"):
        return named
    return "application/json" if plan.whole else plan.content_type or named


def encode_for_client(x: Exchange) -> None:
    """Put the answer, which passed the stages as one of the Messages API, into the client's own format.

    This includes answers that a stage gave in the provider's place; the gate's own errors are in
    the client's format already.
    """
    response = x.flow.response
    if response is None or x.ending.is_own or x.format.speaks_messages or not x.inference:
        return
    if x.answer is None:
        request = x.routing.translation.client_request if x.routing.translation else None
    else:
        request = decode_request(x, (x.facts.model if x.facts else None) or "", x.policy.settings.translate.unsupported)
    if request is None:
        return
    content_type = response.headers.get("content-type", "")
    encoded = request.encode_response(response.status_code, content_type, id=x.id, now_s=int(time.time()))
    if encoded.transform is not None:
        if x.answer is None or x.source is not None:
            x.taps.change(encoded.transform, name=f"to {x.surface}")
        else:
            response.content = encoded.transform.feed(response.content or b"") + encoded.transform.end()
    _fix_head(x, response, encoded.status, encoded.content_type, encoded.fields)


def decode_request(x: Exchange, model: str, unsupported: Policy) -> ClientRequest:
    """The client's request as one of the Messages API, with the way back for its answer. Raises Refused."""
    from sluicegate.core.translate.base import Malformed

    try:
        body = x.request.data.content or b""
        return x.format.decode_request(x.request.path, body, model=model, unsupported=unsupported)
    except Malformed as e:
        raise Refused(400, str(e), should_retry=False) from None


def _fix_head(
    x: Exchange, response: http.Response, status: int, content_type: str | None, fields: Mapping[str, str]
) -> None:
    if content_type:
        response.headers["content-type"] = content_type
    for name, value in fields.items():
        response.headers[name] = value
    if status != response.status_code:
        response.status_code = status
        response.reason = status_codes.RESPONSES.get(status, "")
    x.status = status
