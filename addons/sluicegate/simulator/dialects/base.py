"""What a wire format must say of itself. Inside, every request and answer is one of the Messages API."""

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
"""What is written, each with the output tokens spent once it is sent."""

JSON: Headers = [("content-type", "application/json")]
EVENT_STREAM: Headers = [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]


@dataclass(frozen=True, slots=True)
class Glance:
    """What is seen of a request before it is checked; the script and the knobs go by it."""

    model: str
    stream: bool


@dataclass(frozen=True, slots=True)
class Told:
    """An answer and what else its wire format wants to know: the request's own document, and Unix seconds."""

    answer: Answer
    asked: dict[str, Any]
    knobs: Behaviour
    now: float


class Dialect(Protocol):
    """One wire format. Whatever raises, raises NativeError."""

    native: bool
    """Whether answers have the Messages API's own headers."""
    any_model: bool
    """Whether it answers for models of any name; else for Claude's only."""
    stream_headers: Headers

    def takes(self, request: wire.Request) -> bool:
        """Whether a POST to this path is of this format."""
        ...

    def counts(self, request: wire.Request) -> bool:
        """Whether it asks for a count of tokens alone."""
        ...

    def glance(self, request: wire.Request, asked: dict[str, Any]) -> Glance: ...

    def admit(self, request: wire.Request, credential: str, *, required: bool) -> None:
        """Refuse a request without the credential it should have."""
        ...

    def read(self, request: wire.Request, asked: dict[str, Any]) -> dict[str, Any]:
        """The request as a body of the Messages API, checked as far as the format itself goes."""
        ...

    def account(self, tokens: InputTokens) -> InputTokens:
        """The prompt's tokens as this provider charges them."""
        ...

    def count(self, tokens: int) -> bytes: ...

    def whole(self, told: Told) -> bytes: ...

    def events(self, told: Told) -> Events: ...

    def headers(self, request_id: str) -> Headers:
        """Headers of every answer."""
        ...

    def error(self, error: NativeError, request_id: str) -> tuple[int, Headers, bytes]: ...

    def error_event(self, error: NativeError, request_id: str) -> bytes: ...
