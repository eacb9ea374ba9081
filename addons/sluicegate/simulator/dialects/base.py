"""The interface of a wire format. Inside the simulator, requests and answers have the Messages format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from sluicegate.simulator import wire
from sluicegate.simulator.answers import Answer
from sluicegate.simulator.behaviour import Behaviour
from sluicegate.simulator.errors import NativeError
from sluicegate.simulator.prompt_cache import InputTokens

type Headers = list[tuple[str, str]]
type Events = Iterator[tuple[bytes, int]]
"""The bytes to write, each with the output tokens used so far."""

JSON: Headers = [("content-type", "application/json")]
EVENT_STREAM: Headers = [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]


@dataclass(frozen=True, slots=True)
class Glance:
    """The facts of an unchecked request, for the script and the knobs."""

    model: str
    stream: bool


@dataclass(frozen=True, slots=True)
class AnswerContext:
    """The data for encoding an answer: with the original request document and the time in Unix seconds."""

    answer: Answer
    asked: dict[str, Any]
    knobs: Behaviour
    now: float


class Dialect(Protocol):
    """One wire format. Its methods raise NativeError."""

    native: bool
    """Whether answers have the Messages API's own headers."""
    any_model: bool
    """Whether it serves models of any name, or Claude's only."""
    stream_headers: Headers

    def takes(self, request: wire.Request) -> bool:
        """Whether a POST to this path is of this format."""
        ...

    def counts(self, request: wire.Request) -> bool:
        """Whether the request is for a token count."""
        ...

    def glance(self, request: wire.Request, asked: dict[str, Any]) -> Glance: ...

    def admit(self, request: wire.Request, credential: str, *, required: bool) -> None:
        """Refuse a request without the required credential."""
        ...

    def read(self, request: wire.Request, asked: dict[str, Any]) -> dict[str, Any]:
        """The request as a body of the Messages API, with the checks of this format."""
        ...

    def account(self, tokens: InputTokens) -> InputTokens:
        """The prompt's tokens as this provider charges them."""
        ...

    def count(self, tokens: int) -> bytes: ...

    def whole(self, context: AnswerContext) -> bytes: ...

    def events(self, context: AnswerContext) -> Events: ...

    def headers(self, request_id: str) -> Headers:
        """Headers of every answer."""
        ...

    def error(self, error: NativeError, request_id: str) -> tuple[int, Headers, bytes]: ...

    def error_event(self, error: NativeError, request_id: str) -> bytes: ...
