"""Anthropic's Messages API as a client format. It needs no translation: the stages read and write it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sluicegate.core.formats.client_format import ClientFormat, ClientRequest
from sluicegate.core.formats.first_look import messages_event_says
from sluicegate.core.formats.messages.errors import error_answer, error_in_stream
from sluicegate.core.formats.path_endings import Tail
from sluicegate.core.messages.facts import RequestFacts, read_request, rename_model
from sluicegate.core.redact.walk.body_shapes import BODY
from sluicegate.core.wire.sse import PING

if TYPE_CHECKING:
    from sluicegate.core.translate.base import Policy

__all__ = ["COUNT_TOKENS", "MESSAGES", "read_body_facts", "rename_in_body", "same_body"]


def same_body(body: bytes) -> bytes:
    return body


def read_body_facts(path: str, body: bytes) -> RequestFacts | None:
    """The facts of a request whose body names the model."""
    return read_request(body)


def rename_in_body(path: str, body: bytes, model: str) -> tuple[str, bytes]:
    return path, rename_model(body, model)


def _messages(path: str, body: bytes, *, model: str, unsupported: Policy) -> ClientRequest:
    return ClientRequest("messages", body)


def _count(path: str, body: bytes, *, model: str, unsupported: Policy) -> ClientRequest:
    return ClientRequest("count_tokens", body)


MESSAGES: Final = ClientFormat(
    name="messages",
    kind="answers",
    known=True,
    served_as="POST /v1/messages",
    paths=(Tail(("v1", "messages")),),
    usual_path="/v1/messages",
    speaks_messages=True,
    answers_like_messages=True,
    keeps_thinking=True,
    takes_cache_markers=True,
    body_shape=BODY,
    readable_body=same_body,
    sendable_body=same_body,
    read_facts=read_body_facts,
    rename=rename_in_body,
    to_messages=_messages,
    error_answer=error_answer,
    error_in_stream=error_in_stream,
    stream_type="event-stream",
    stream_break=b"\n\n",
    event_says=messages_event_says,
    ping=PING,
)

COUNT_TOKENS: Final = replace(
    MESSAGES,
    name="count_tokens",
    kind="counts",
    served_as=None,
    paths=(Tail(("v1", "messages", "count_tokens")),),
    usual_path="/v1/messages/count_tokens",
    keeps_thinking=False,
    takes_cache_markers=False,
    to_messages=_count,
    ping=None,
)
