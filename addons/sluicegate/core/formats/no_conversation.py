"""Paths that hold no conversation: the list of models, and everything that is not of any format.

They are formats like the others, so no caller has to ask whether there is one; their errors are those of the
Messages API.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sluicegate.core.formats.client_format import ClientFormat, ClientRequest
from sluicegate.core.formats.first_look import messages_event_says
from sluicegate.core.formats.messages.errors import error_answer, error_in_stream
from sluicegate.core.formats.messages.format import rename_in_body, same_body
from sluicegate.core.formats.path_endings import Item, Tail
from sluicegate.core.messages.facts import RequestFacts

if TYPE_CHECKING:
    from sluicegate.core.translate.base import Policy

__all__ = ["MODELS", "OTHER"]


def _no_facts(path: str, body: bytes) -> RequestFacts | None:
    return None


def _no_conversation(path: str, body: bytes, *, model: str, unsupported: Policy) -> ClientRequest:
    raise ValueError("the path is not one of an inference call")


OTHER: Final = ClientFormat(
    name="other",
    kind="none",
    known=False,
    served_as=None,
    paths=(),
    usual_path=None,
    speaks_messages=False,
    answers_like_messages=False,
    keeps_thinking=False,
    takes_cache_markers=False,
    body_shape=None,
    readable_body=same_body,
    sendable_body=same_body,
    read_facts=_no_facts,
    rename=rename_in_body,
    to_messages=_no_conversation,
    error_answer=error_answer,
    error_in_stream=error_in_stream,
    stream_type="event-stream",
    stream_break=b"\n\n",
    event_says=messages_event_says,
    ping=None,
)

MODELS: Final = replace(OTHER, name="models", known=True, paths=(Tail(("v1", "models")), Item(("v1", "models"))))
