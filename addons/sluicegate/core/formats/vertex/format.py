"""Vertex AI's rawPredict for Claude, streamed or not, and its count of tokens, as client formats."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sluicegate.core.formats.client_format import ClientFormat, ClientRequest
from sluicegate.core.formats.first_look import messages_event_says
from sluicegate.core.formats.messages.errors import error_answer, error_in_stream
from sluicegate.core.formats.messages.format import read_body_facts, rename_in_body, same_body
from sluicegate.core.formats.path_endings import Verb
from sluicegate.core.formats.vertex import codec
from sluicegate.core.messages.facts import RequestFacts, model_in_path, read_request
from sluicegate.core.messages.version import version_in_body
from sluicegate.core.redact.walk.body_shapes import BODY
from sluicegate.core.wire.sse import PING

if TYPE_CHECKING:
    from sluicegate.core.translate.base import Policy

__all__ = ["VERTEX", "VERTEX_COUNT"]


def _facts(path: str, body: bytes) -> RequestFacts | None:
    facts, named = read_request(body), codec.read_path(path)
    return replace(facts, model=model_in_path(named.model)) if facts and named else facts


def _rename(path: str, body: bytes, model: str) -> tuple[str, bytes]:
    return codec.path_for(path, model), body


def _to_messages(path: str, body: bytes, *, model: str, unsupported: Policy) -> ClientRequest:
    asked = codec.read_path(path)
    if asked is None:
        raise ValueError("the path does not name a model")
    inner = codec.to_messages(body, asked)
    return ClientRequest("count_tokens" if asked.counts else "messages", inner, version=version_in_body(body))


VERTEX: Final = ClientFormat(
    name="vertex",
    kind="answers",
    known=True,
    served_as="Vertex' rawPredict",
    paths=(Verb("models", "rawpredict"), Verb("models", "streamrawpredict")),
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
    stream_type="event-stream",
    stream_break=b"\n\n",
    event_says=messages_event_says,
    ping=PING,
)

VERTEX_COUNT: Final = replace(
    VERTEX,
    name="vertex_count",
    kind="counts",
    served_as=None,
    paths=(Verb("models", "rawpredict", id=codec.COUNT),),
    keeps_thinking=False,
    read_facts=read_body_facts,  # the path has no place left for the model
    rename=rename_in_body,
    ping=None,
)
