"""Chat Completions: https://platform.openai.com/docs/api-reference/chat. Its streamed events have no names, only data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from sluicegate.simulator import events, wire
from sluicegate.simulator.answers import Answer
from sluicegate.simulator.dialects.base import (
    EVENT_STREAM,
    JSON,
    AnswerContext,
    Events,
    Glance,
    Headers,
)
from sluicegate.simulator.dialects.chat_request import as_messages
from sluicegate.simulator.errors import NativeError
from sluicegate.simulator.prompt_cache import InputTokens

_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "refusal": "content_filter",
}
_KINDS: Final[dict[int, tuple[int, str, str | None]]] = {
    400: (400, "invalid_request_error", None),
    401: (401, "invalid_request_error", "invalid_api_key"),
    402: (429, "insufficient_quota", "insufficient_quota"),
    403: (403, "invalid_request_error", None),
    404: (404, "invalid_request_error", "model_not_found"),
    413: (413, "invalid_request_error", None),
    429: (429, "requests", "rate_limit_exceeded"),
    500: (500, "server_error", None),
    503: (503, "server_error", None),
    504: (504, "server_error", None),
    529: (503, "server_error", None),
}
"""An error's status → OpenAI's own, its type and its code."""

_encode = msgspec.json.encode
DONE: Final = b"data: [DONE]\n\n"


class ChatCompletions:
    native = False
    any_model = True
    stream_headers = EVENT_STREAM

    def takes(self, request: wire.Request) -> bool:
        return request.path.endswith("/chat/completions")

    def counts(self, request: wire.Request) -> bool:
        return False

    def glance(self, request: wire.Request, asked: dict[str, Any]) -> Glance:
        return Glance(str(asked.get("model") or ""), bool(asked.get("stream")))

    def admit(self, request: wire.Request, credential: str, *, required: bool) -> None:
        if credential == "invalid":
            raise NativeError(401, "Incorrect API key provided.")
        if required and not request.fields.get("authorization", "").startswith("Bearer "):
            raise NativeError(401, "You didn't provide an API key.")

    def read(self, request: wire.Request, asked: dict[str, Any]) -> dict[str, Any]:
        return as_messages(asked)

    def account(self, tokens: InputTokens) -> InputTokens:
        """The cache is automatic, and writes are free."""
        return InputTokens(tokens.fresh + tokens.write_5m + tokens.write_1h, tokens.read)

    def count(self, tokens: int) -> bytes:
        raise NativeError(404, "Not Found")

    def whole(self, context: AnswerContext) -> bytes:
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
        calls = []
        for block in context.answer.blocks:
            match block["type"]:
                case "text":
                    message["content"] = block["text"]
                case "thinking":
                    message[context.knobs.reasoning_field] = block["thinking"]
                case _:
                    calls.append(_call(block, _encode(block["input"]).decode()))
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(context.answer)}
        document = _envelope(context, "chat.completion") | {"choices": [choice], "usage": _usage(context.answer)}
        return _encode(document)

    def events(self, context: AnswerContext) -> Events:
        wants_usage = bool((context.asked.get("stream_options") or {}).get("include_usage"))
        base = _envelope(context, "chat.completion.chunk")
        spent = min(1, context.answer.output_tokens)
        sent_bytes = 0
        for delta in _deltas(context):
            sent_bytes += len(_encode(delta)) - 20
            spent = min(max(spent, sent_bytes // 4), context.answer.output_tokens)
            yield _chunk(base, delta, None, wants_usage), spent
        yield _chunk(base, {}, _reason(context.answer), wants_usage), context.answer.output_tokens
        if wants_usage:
            last = base | {"choices": [], "usage": _usage(context.answer)}
            yield b"data: %b\n\n" % _encode(last), context.answer.output_tokens
        yield DONE, context.answer.output_tokens

    def headers(self, request_id: str) -> Headers:
        return [("x-request-id", request_id), ("openai-version", "2020-10-01")]

    def error(self, error: NativeError, request_id: str) -> tuple[int, Headers, bytes]:
        status, kind, code = _KINDS.get(error.status, (error.status, "server_error", None))
        document = {"error": {"message": error.message, "type": kind, "param": None, "code": code}}
        return status, list(JSON), _encode(document)

    def error_event(self, error: NativeError, request_id: str) -> bytes:
        return b"data: %b\n\n" % self.error(error, request_id)[2]


def _envelope(context: AnswerContext, kind: str) -> dict[str, Any]:
    chat_id = context.answer.id.replace("msg_", "chatcmpl-")
    return {"id": chat_id, "object": kind, "created": int(context.now), "model": context.answer.model}


def _reason(answer: Answer) -> str:
    return _REASONS.get(answer.stop_reason, "stop")


def _usage(answer: Answer) -> dict[str, Any]:
    """Inclusive: prompt tokens include those read from the cache."""
    thought = sum(len(block["thinking"]) // 4 for block in answer.blocks if block["type"] == "thinking")
    return {
        "prompt_tokens": answer.tokens.total,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.tokens.total + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.tokens.read, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": min(thought, answer.output_tokens)},
    }


def _call(block: dict[str, Any], arguments: str) -> dict[str, Any]:
    return {
        "id": block["id"].replace("toolu_", "call_"),
        "type": "function",
        "function": {"name": block["name"], "arguments": arguments},
    }


def _deltas(context: AnswerContext) -> Iterator[dict[str, Any]]:
    """The role first; then text, reasoning and the pieces of each call's arguments, calls counted from 0."""
    yield {"role": "assistant", "content": "", "refusal": None}
    number = 0
    for block in context.answer.blocks:
        match block["type"]:
            case "text":
                pieces = context.knobs.events
                for piece in events.split(block["text"], events.DEFAULT_TEXT_EVENTS if pieces is None else pieces):
                    yield {"content": piece}
            case "thinking":
                for piece in events.split(block["thinking"], events.THINKING_EVENTS):
                    yield {context.knobs.reasoning_field: piece}
            case _:
                yield {"tool_calls": [{"index": number, **_call(block, "")}]}
                for piece in events.split(_encode(block["input"]).decode(), events.TOOL_INPUT_EVENTS):
                    yield {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}
                number += 1


def _chunk(base: dict[str, Any], delta: dict[str, Any], reason: str | None, wants_usage: bool) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    more = {"usage": None} if wants_usage else {}
    return b"data: %b\n\n" % _encode(base | {"choices": [choice]} | more)
