"""A message of the Messages API as a Chat Completions response."""

from __future__ import annotations

from sluicegate.core.translate.base import Malformed, RequestState
from sluicegate.core.translate.chat_messages.stream import completion_id
from sluicegate.core.translate.errors import messages_fault
from sluicegate.core.translate.outcomes import finish_reason, usage_to_chat
from sluicegate.core.translate.reading import Json, decode, encode

__all__ = ["message_to_completion"]


def message_to_completion(body: bytes, state: RequestState, *, id: str, now_s: int) -> bytes:
    """The completion. Raises Malformed if the body is not a message, or reports an error with a success status."""
    message = decode(body)
    if message.get("type") == "error" and (fault := messages_fault(message)):
        raise Malformed("", f"the provider reported an error: {fault.message}")
    content = message.get("content")
    if message.get("type") != "message" or not isinstance(content, list):
        raise Malformed("", "the provider's answer is not a message")
    blocks = [block for block in content if isinstance(block, dict)]
    calls = [_call(block, n, state, id) for n, block in enumerate(b for b in blocks if b.get("type") == "tool_use")]
    said = _joined(blocks, "text")
    turn: Json = {"role": "assistant", "content": said or (None if calls else ""), "refusal": _refusal(message)}
    if thought := _joined(blocks, "thinking"):
        turn["reasoning_content"] = thought
    if calls:
        turn["tool_calls"] = calls
    finish = finish_reason(message.get("stop_reason"), called=bool(calls))
    model, usage = message.get("model"), message.get("usage")
    completion = {
        "id": completion_id(message.get("id"), id),
        "object": "chat.completion",
        "created": now_s,
        "model": model if isinstance(model, str) else state.model,
        "choices": [{"index": 0, "message": turn, "logprobs": None, "finish_reason": finish}],
        "usage": usage_to_chat(usage if isinstance(usage, dict) else {}),
    }
    return encode(completion)


def _joined(blocks: list[Json], kind: str) -> str:
    found = (block.get(kind) for block in blocks if block.get("type") == kind)
    return "".join(text for text in found if isinstance(text, str))


def _call(block: Json, number: int, state: RequestState, id: str) -> Json:
    name, given, made = block.get("name"), block.get("input"), block.get("id")
    if not isinstance(name, str):
        raise Malformed("", "the provider called a tool without naming it")
    arguments = encode(given if isinstance(given, dict) else {}).decode()
    return {
        "id": made if isinstance(made, str) and made else f"call_{id}_{number}",
        "type": "function",
        "function": {"name": state.tool_names.get(name, name), "arguments": arguments},
    }


def _refusal(message: Json) -> str | None:
    details = message.get("stop_details")
    explanation = details.get("explanation") if isinstance(details, dict) else None
    return explanation if isinstance(explanation, str) and message.get("stop_reason") == "refusal" else None
