"""The Messages API itself: https://docs.anthropic.com/en/api/messages."""

from __future__ import annotations

from typing import Any

import msgspec

from sluicegate.simulator import events, wire
from sluicegate.simulator.dialects.base import (
    EVENT_STREAM,
    JSON,
    AnswerContext,
    Events,
    Glance,
    Headers,
)
from sluicegate.simulator.errors import NativeError
from sluicegate.simulator.prompt_cache import InputTokens


class Messages:
    native = True
    any_model = False
    stream_headers = EVENT_STREAM

    def takes(self, request: wire.Request) -> bool:
        return request.path.endswith("/v1/messages") or self.counts(request)

    def counts(self, request: wire.Request) -> bool:
        return request.path.endswith("/v1/messages/count_tokens")

    def glance(self, request: wire.Request, asked: dict[str, Any]) -> Glance:
        return Glance(str(asked.get("model") or ""), bool(asked.get("stream")))

    def admit(self, request: wire.Request, credential: str, *, required: bool) -> None:
        if credential == "invalid":
            raise NativeError(401, "invalid x-api-key")
        if not credential and required:
            raise NativeError(401, "x-api-key header is required")

    def read(self, request: wire.Request, asked: dict[str, Any]) -> dict[str, Any]:
        return asked

    def account(self, tokens: InputTokens) -> InputTokens:
        return tokens

    def count(self, tokens: int) -> bytes:
        return msgspec.json.encode({"input_tokens": tokens})

    def whole(self, context: AnswerContext) -> bytes:
        return msgspec.json.encode(context.answer.message())

    def events(self, context: AnswerContext) -> Events:
        return events.events(context.answer, context.knobs.events, context.knobs.pings)

    def headers(self, request_id: str) -> Headers:
        return []

    def error(self, error: NativeError, request_id: str) -> tuple[int, Headers, bytes]:
        return error.status, list(JSON), error.body(request_id)

    def error_event(self, error: NativeError, request_id: str) -> bytes:
        return events.error_event(error, request_id)
