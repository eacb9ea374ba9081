"""Bedrock's InvokeModel for Claude, to and from the Messages API.

The model and whether it streams are in the path, betas are in the body, the version is Bedrock's own
(docs.aws.amazon.com, Bedrock user guide, "Anthropic Claude Messages API"; API reference, "CountTokens").
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import quote, unquote

import msgspec

from sluicegate.core.wire.eventstream import frame_of_event
from sluicegate.core.wire.json_object import edited, loads, top
from sluicegate.core.wire.sse import SSEEvent, SSEParser

__all__ = [
    "FramesFromMessages",
    "InPath",
    "count_answer",
    "count_request",
    "counted_body",
    "from_messages",
    "path_for",
    "path_of",
    "read_path",
    "to_messages",
]

VERSION: Final = "bedrock-2023-05-31"
Action = Literal["invoke", "invoke-with-response-stream", "count-tokens"]

_PATH: Final = re.compile(r"(?:^|/)model/(.+)/(invoke|invoke-with-response-stream|count-tokens)/?$")


class InPath(NamedTuple):
    """The parts of a path: the model's id and the action."""

    model: str
    action: str

    @property
    def stream(self) -> bool:
        return self.action.endswith("-stream")


def read_path(path: str) -> InPath | None:
    """Read a path without regard to its query; None if it is not one of Bedrock's."""
    found = _PATH.search(path.partition("?")[0])
    return InPath(unquote(found[1]), found[2]) if found else None


def path_of(model: str, action: Action) -> str:
    """The path for a model's id, which may be an ARN."""
    return f"/model/{quote(model, safe='')}/{action}"


def path_for(path: str, model: str) -> str:
    """The same path for another model. ValueError if it is not one of Bedrock's."""
    found = _PATH.search(path.partition("?")[0])
    if found is None:
        raise ValueError("the path does not name a model")
    return path[: found.start(1)] + quote(model, safe="") + path[found.end(1) :]


# -- towards Bedrock


def from_messages(body: bytes, betas: Sequence[str], *, drop: Sequence[str] = (), version: str | None = None) -> bytes:
    """A Messages request for Bedrock. `drop`: members that it rejects. ValueError if the body is not an object."""
    put: dict[str, object] = {"anthropic_version": version or VERSION}
    if betas:
        put["anthropic_beta"] = list(betas)
    return edited(body, drop=("model", "stream", *drop, *(() if betas else ("anthropic_beta",))), put=put)


def count_request(body: bytes) -> bytes:
    """A CountTokens request around a body for InvokeModel, which must have a max_tokens."""
    fields = top(body) or {}
    whole = body if "max_tokens" in fields else edited(body, put={"max_tokens": 1})
    return b'{"input":{"invokeModel":{"body":"%b"}}}' % binascii.b2a_base64(whole, newline=False)


def count_answer(body: bytes) -> bytes:
    """CountTokens' response as count_tokens sends it. ValueError if it has no number."""
    return msgspec.json.encode({"input_tokens": _number(body, "inputTokens")})


# -- from a client that speaks to Bedrock


def to_messages(body: bytes, asked: InPath) -> tuple[bytes, tuple[str, ...]]:
    """A Bedrock request as a Messages request, and its betas. ValueError if the body is not a JSON object."""
    if asked.action == "count-tokens":
        body = counted_body(body) or b""
    fields = top(body)
    if fields is None:
        raise ValueError("the body must be a JSON object")
    found = loads(fields.get("anthropic_beta", b"null"))
    betas = tuple(beta for beta in found if isinstance(beta, str)) if isinstance(found, list) else ()
    drop = ["anthropic_version", "anthropic_beta", "stream", *(["max_tokens"] if asked.action == "count-tokens" else [])]
    put: dict[str, object] = {"model": asked.model}
    if asked.stream:
        put["stream"] = True
    return edited(body, drop=drop, put=put), betas


def counted_body(body: bytes) -> bytes | None:
    """The body for InvokeModel within a CountTokens request; None if there is none."""
    try:
        return binascii.a2b_base64(msgspec.json.decode(body)["input"]["invokeModel"]["body"], strict_mode=True)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LookupError, TypeError, ValueError):
        return None


def count_answer_to_bedrock(body: bytes) -> bytes:
    """count_tokens' response as CountTokens sends it. ValueError if it has no number."""
    return msgspec.json.encode({"inputTokens": _number(body, "input_tokens")})


def _number(body: bytes, name: str) -> int:
    value: Any = loads(body)
    number = value.get(name) if isinstance(value, dict) else None
    if type(number) is not int or number < 0:
        raise ValueError(f"the token count has no {name}")
    return number


class FramesFromMessages:
    """A Messages stream in, event-stream frames out, for a client of Bedrock. There are no pings.

    `exception` turns an error event's data into a frame: clients would take an error in a chunk for a normal event.
    """

    __slots__ = ("_exception", "_over", "_parser")

    def __init__(self, exception: Callable[[bytes], bytes]) -> None:
        self._exception = exception
        self._parser = SSEParser()
        self._over = False

    def feed(self, data: bytes) -> bytes:
        return b"".join(self._frame(event) for event in self._parser.feed(data))

    def _frame(self, event: SSEEvent) -> bytes:
        if self._over or event.event == b"ping":
            return b""
        if event.event != b"error":
            return frame_of_event(event.data)
        self._over = True
        return self._exception(event.data)

    def end(self) -> bytes:
        return b""
