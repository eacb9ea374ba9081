"""A Chat Completions response as a message of the Messages API."""

from __future__ import annotations

from sluicegate.core.translate.base import Malformed, RequestState
from sluicegate.core.translate.chat_chunk import Call, read_chunk, tool_input
from sluicegate.core.translate.errors import Fault
from sluicegate.core.translate.messages_chat.stream import ChatStreamToMessages, message_id
from sluicegate.core.translate.outcomes import FAILED, stop_reason, usage_to_messages
from sluicegate.core.translate.reading import Json, encode
from sluicegate.core.translate.tool_names import call_id

__all__ = ["completion_to_message", "completion_to_stream"]


def completion_to_message(body: bytes, state: RequestState, *, id: str) -> bytes:
    """The message. Raises Malformed if the body is not a completion, or reports an error with a success status."""
    chunk = read_chunk(body)
    if isinstance(chunk, Fault):
        raise Malformed("", f"the provider reported an error: {chunk.message}")
    choices = [c for c in chunk.choices or () if not c.index] if chunk else []
    if chunk is None or not choices or choices[0].message is None:
        raise Malformed("", "the provider's answer is not a chat completion")
    said, finish = choices[0].message, choices[0].finish_reason or "stop"
    if finish in FAILED:
        raise Malformed("", "the provider aborted its answer")
    content: list[Json] = []
    if state.thinking and (thought := said.reasoning_content or said.reasoning):
        content.append({"type": "thinking", "thinking": thought, "signature": ""})
    content += [{"type": "text", "text": text} for text in (said.content, said.refusal) if text]
    called = said.tool_calls or ([Call(function=said.function_call)] if said.function_call else [])
    calls = [_tool_use(call, n, state, id) for n, call in enumerate(called)]
    _tell_apart(calls, id)
    message = {
        "id": message_id(chunk.id, id),
        "type": "message",
        "role": "assistant",
        "model": chunk.model or state.model,
        "content": content + calls,
        "stop_reason": stop_reason(finish, called=bool(calls), refused=bool(said.refusal)),
        "stop_sequence": None,
        "usage": usage_to_messages(chunk.spent()),
    }
    return encode(message)


def completion_to_stream(body: bytes, state: RequestState, *, id: str) -> bytes:
    """The message as a stream, for a client that asked for one if the server sent JSON. Raises Malformed."""
    stream = ChatStreamToMessages(state, id=id, whole=True)
    line = body.replace(b"\n", b" ").replace(b"\r", b" ")  # in JSON these are only whitespace
    made = stream.feed(b"data: " + line + b"\n\n") + stream.end()
    if stream.failed:
        raise Malformed("", stream.failed.message)
    return made


def _tool_use(call: Call, number: int, state: RequestState, id: str) -> Json:
    function = call.function
    if function is None or not function.name:
        raise Malformed("", "the provider called a tool without naming it")
    return {
        "type": "tool_use",
        "id": call_id(call.id or f"call_{id}_{number}"),
        "name": state.tool_names.get(function.name, function.name),
        "input": tool_input(function.arguments or ""),
    }


def _tell_apart(calls: list[Json], id: str) -> None:
    """Some servers use one id for all calls: the client could not assign its results."""
    seen: set[str] = set()
    for number, call in enumerate(calls):
        if call["id"] in seen:
            call["id"] = call_id(f"call_{id}_{number}")
        seen.add(call["id"])
