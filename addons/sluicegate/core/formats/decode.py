"""Clients of Chat Completions, Bedrock and Vertex: their requests as Messages requests, the answers in their words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import msgspec

from sluicegate.core.formats.bedrock import codec as bedrock
from sluicegate.core.formats.buffered import Whole
from sluicegate.core.formats.error_format import error_answer, error_in_stream
from sluicegate.core.formats.surfaces import Surface
from sluicegate.core.formats.vertex import codec as vertex
from sluicegate.core.translate.pairs import (
    ChatToMessages,
    Fault,
    Malformed,
    Policy,
    Transform,
    messages_fault,
)
from sluicegate.core.wire.eventstream import CONTENT_TYPE
from sluicegate.core.wire.json_object import loads

__all__ = ["Entered", "Left", "enter"]

_EVENT_STREAM: Final = "text/event-stream"


class Left(NamedTuple):
    """How a Messages answer comes to the client. None: as it is."""

    status: int
    content_type: str | None = None
    transform: Transform | None = None
    fields: dict[str, str] = {}  # noqa: RUF012 - never changed
    whole: bool = False
    """The transform gives nothing before the end, and raises there where the answer makes no sense."""


Leave = Callable[..., Left]
"""(status, content type, *, id, now_s) of a Messages answer → how it comes to the client, with a transform of its own."""


def _as_it_is(status: int, content_type: str, *, id: str, now_s: int) -> Left:
    return Left(status)


@dataclass(frozen=True, slots=True)
class Entered:
    """A client's request as a Messages request."""

    surface: Literal["messages", "count_tokens"]
    body: bytes = field(repr=False)
    betas: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    leave: Leave = _as_it_is


def enter(surface: Surface, path: str, body: bytes, *, model: str, unsupported: Policy = "refuse") -> Entered:
    """Read a request. `model`: what the provider is asked for. Malformed where it makes no sense."""
    try:
        match surface:
            case "chat_completions":
                return _chat(body, model, unsupported)
            case "bedrock" | "bedrock_count":
                return _bedrock(path, body)
            case "vertex" | "vertex_count":
                return _vertex(path, body)
            case "count_tokens":
                return Entered("count_tokens", body)
    except ValueError as e:
        raise Malformed("", str(e)) from None
    return Entered("messages", body)


def _chat(body: bytes, model: str, unsupported: Policy) -> Entered:
    translation = ChatToMessages(unsupported)
    translated = translation.request(body, model=model)

    def leave(status: int, content_type: str, *, id: str, now_s: int) -> Left:
        answer = translation.answer(status, content_type, translated.state, id=id, now_s=now_s)
        return Left(answer.status, answer.content_type, answer.transform, whole=answer.whole)

    return Entered("messages", translated.body, dropped=translated.dropped, leave=leave)


def _bedrock(path: str, body: bytes) -> Entered:
    asked = bedrock.read_path(path)
    if asked is None:
        raise Malformed("", "the path names no model")
    inner, betas = bedrock.to_messages(body, asked)
    if asked.action == "count-tokens":
        return Entered("count_tokens", inner, betas, leave=partial(_to_bedrock, counts=True))
    return Entered("messages", inner, betas, leave=partial(_to_bedrock, counts=False))


def _to_bedrock(status: int, content_type: str, *, id: str, now_s: int, counts: bool) -> Left:
    fields = {"x-amzn-requestid": id}
    if status >= 400:
        said = error_answer("bedrock", status, _kind(status), "")
        exception = {"x-amzn-errortype": said.fields["x-amzn-errortype"]}
        return Left(said.status, "application/json", Whole(_aws_error, lenient=True), fields | exception)
    if counts:
        return Left(status, "application/json", Whole(bedrock.count_answer_to_bedrock), fields, whole=True)
    if content_type.startswith(_EVENT_STREAM):
        fields["x-amzn-bedrock-content-type"] = "application/json"
        return Left(status, CONTENT_TYPE, bedrock.FramesFromMessages(_exception), fields)
    return Left(status, fields=fields)


def _aws_error(body: bytes) -> bytes:
    value: Any = loads(body)
    error = value.get("error") if isinstance(value, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    words = message.encode("utf-8", "replace").decode() if isinstance(message, str) else "the provider did not say why"
    return msgspec.json.encode({"message": words})


def _exception(event: bytes) -> bytes:
    fault = messages_fault(loads(event)) or Fault("the provider reported an error")
    return error_in_stream("bedrock", fault.code, fault.message)


def _kind(status: int) -> str:
    found = {
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        504: "timeout_error",
        529: "overloaded_error",
    }
    return found.get(status) or ("invalid_request_error" if status < 500 else "api_error")


def _vertex(path: str, body: bytes) -> Entered:
    asked = vertex.read_path(path)
    if asked is None:
        raise Malformed("", "the path names no model")
    return Entered("count_tokens" if asked.counts else "messages", vertex.to_messages(body, asked))
