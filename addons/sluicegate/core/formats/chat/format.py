"""OpenAI's Chat Completions as a client format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sluicegate.core.formats.chat.errors import error_answer, error_in_stream
from sluicegate.core.formats.chat.facts import read_facts
from sluicegate.core.formats.client_format import ClientFormat, ClientRequest, EncodedResponse
from sluicegate.core.formats.first_look import chat_event_says
from sluicegate.core.formats.messages.format import rename_in_body, same_body
from sluicegate.core.formats.path_endings import Tail
from sluicegate.core.redact.walk.body_shapes import BODY

if TYPE_CHECKING:
    from sluicegate.core.translate.base import Policy

__all__ = ["CHAT"]


def _to_messages(path: str, body: bytes, *, model: str, unsupported: Policy) -> ClientRequest:
    from sluicegate.core.translate.pairs import ChatToMessages

    translation = ChatToMessages(unsupported)
    translated = translation.request(body, model=model)

    def encode_response(status: int, content_type: str, *, id: str, now_s: int) -> EncodedResponse:
        answer = translation.answer(status, content_type, translated.state, id=id, now_s=now_s)
        return EncodedResponse(answer.status, answer.content_type, answer.transform, whole=answer.whole)

    return ClientRequest("messages", translated.body, dropped=translated.dropped, encode_response=encode_response)


CHAT: Final = ClientFormat(
    name="chat_completions",
    kind="answers",
    known=True,
    served_as="POST /v1/chat/completions (for clients of the Responses API: set them to Chat Completions)",
    paths=(Tail(("chat", "completions")),),
    usual_path="/v1/chat/completions",
    speaks_messages=False,
    answers_like_messages=False,
    keeps_thinking=False,
    takes_cache_markers=False,
    body_shape=BODY,
    readable_body=same_body,
    sendable_body=same_body,
    read_facts=read_facts,
    rename=rename_in_body,
    to_messages=_to_messages,
    error_answer=error_answer,
    error_in_stream=error_in_stream,
    stream_type="event-stream",
    stream_break=b"\n\n",
    event_says=chat_event_says,
    ping=b": ping\n\n",
)
