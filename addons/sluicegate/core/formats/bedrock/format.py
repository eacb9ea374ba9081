"""Bedrock's InvokeModel for Claude, streamed or not, and its CountTokens, as client formats."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sluicegate.core.formats.bedrock import codec
from sluicegate.core.formats.bedrock.errors import error_answer, error_in_stream
from sluicegate.core.formats.bedrock.responses import encode_answer, encode_count
from sluicegate.core.formats.client_format import ClientFormat, ClientRequest
from sluicegate.core.formats.first_look import messages_event_says
from sluicegate.core.formats.messages.format import same_body
from sluicegate.core.formats.path_endings import Action
from sluicegate.core.messages.facts import RequestFacts, model_in_path, read_request
from sluicegate.core.messages.version import version_in_body
from sluicegate.core.redact.walk.body_shapes import BODY
from sluicegate.core.wire.eventstream import CONTENT_TYPE

if TYPE_CHECKING:
    from sluicegate.core.translate.base import Policy

__all__ = ["BEDROCK", "BEDROCK_COUNT"]


def _facts(path: str, body: bytes) -> RequestFacts | None:
    facts, asked = read_request(body), codec.read_path(path)
    if facts is None or asked is None:
        return facts
    return replace(facts, model=model_in_path(asked.model), stream=asked.stream)


def _counted(body: bytes) -> bytes:
    return codec.counted_body(body) or body


def _facts_of_count(path: str, body: bytes) -> RequestFacts | None:
    return _facts(path, _counted(body))


def _rename(path: str, body: bytes, model: str) -> tuple[str, bytes]:
    return codec.path_for(path, model), body


def _to_messages(path: str, body: bytes, *, model: str, unsupported: Policy) -> ClientRequest:
    asked = codec.read_path(path)
    if asked is None:
        raise ValueError("the path does not name a model")
    inner, betas = codec.to_messages(body, asked)
    if asked.action == "count-tokens":
        version = version_in_body(_counted(body))
        return ClientRequest("count_tokens", inner, betas, version=version, encode_response=encode_count)
    return ClientRequest("messages", inner, betas, version=version_in_body(body), encode_response=encode_answer)


BEDROCK: Final = ClientFormat(
    name="bedrock",
    kind="answers",
    known=True,
    served_as="Bedrock's InvokeModel",
    paths=(Action("model", "invoke"), Action("model", "invoke-with-response-stream")),
    usual_path=None,
    speaks_messages=False,
    answers_like_messages=True,
    keeps_thinking=True,
    takes_cache_markers=False,
    body_shape=BODY,
    readable_body=same_body,
    sendable_body=same_body,
    read_facts=_facts,
    rename=_rename,
    to_messages=_to_messages,
    error_answer=error_answer,
    error_in_stream=error_in_stream,
    stream_type=CONTENT_TYPE,
    stream_break=b"",
    event_says=messages_event_says,
    ping=None,
)

BEDROCK_COUNT: Final = replace(
    BEDROCK,
    name="bedrock_count",
    kind="counts",
    served_as=None,
    paths=(Action("model", "count-tokens"),),
    keeps_thinking=False,
    readable_body=_counted,
    sendable_body=codec.count_request,
    read_facts=_facts_of_count,
)
