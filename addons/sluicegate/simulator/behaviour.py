"""Behaviour knobs, from the model's name (`claude-x+events=3`), the `x-sim` header or the script."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import unquote

import msgspec

type Count = Annotated[int, msgspec.Meta(ge=0)]
type Span = Annotated[float, msgspec.Meta(ge=0)]
type Fault = Literal["reset", "eof", "stall", "truncate", "cut", "error", "garbage", "short"]
type Place = Count | Literal["start", "headers"]

_DEFAULT_PLACES: dict[str, int | Literal["start", "headers"]] = {
    "reset": "start",
    "eof": "start",
    "stall": "start",
    "garbage": "start",
    "truncate": 3,
    "cut": 3,
    "error": 3,
    "short": 3,
}


class Behaviour(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One call's knobs; the defaults give a plain, prompt answer."""

    # contents of the answer
    text: str | None = None  # the reply, instead of the greeting
    echo: bool = False  # the reply is the last user text
    length: Count | None = None  # characters of the reply
    huge_mb: Count = 0  # size of the reply in MiB
    events: Count | None = None  # text deltas of a stream, each its own write
    thinking: bool | None = None  # a thinking block first; None: when the request turns thinking on
    tool: str | None = None  # call the tool of this name
    tool_input: dict[str, Any] | None = None
    find: str | None = None  # a regular expression: `{found}` in tool_input is its match in the last user message
    parallel: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1  # calls of the tool in one turn
    stop_reason: str | None = None
    answer_model: str | None = None  # the model that the answer names
    usage: dict[str, Count] = {}  # overrides of the Usage fields
    reasoning_field: Literal["reasoning_content", "reasoning"] = (
        "reasoning_content"  # name of the field in Chat Completions
    )
    # transport
    encoding: Literal["identity", "gzip", "br", "zstd", "auto"] = "identity"
    headers: dict[str, str] = {}  # additional response headers
    first_byte_ms: Span = 0  # before the head
    delay_ms: Span = 0  # between events
    pings: Count = 0  # extra pings before the first block
    chunk_bytes: Count = 0  # cut every write into pieces of this size
    close: bool = False  # connection: close
    # failures
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    error_type: str | None = None
    error_message: str | None = None
    body: str | None = None  # with `status`: this body instead of a native error
    content_type: str = "application/json"  # of `body`
    fault: Fault | None = None
    at: Place | None = None  # start, headers, or after that many events; None: the fault's own default
    stall_s: Span = 600

    @property
    def place(self) -> int | Literal["start", "headers"]:
        if self.at is not None:
            return self.at
        return _DEFAULT_PLACES[self.fault] if self.fault else "start"


PLAIN = Behaviour()


class BehaviourError(ValueError):
    """A knob is unknown or its value is wrong."""


def behaviour(knobs: Mapping[str, Any]) -> Behaviour:
    """Typed knobs. Raises BehaviourError with the path of the wrong one."""
    if not knobs:
        return PLAIN
    try:
        found = msgspec.convert(knobs, Behaviour, strict=False)
        re.compile(found.find or "")
    except (msgspec.ValidationError, re.error) as error:
        raise BehaviourError(str(error)) from None
    return found


@functools.lru_cache(maxsize=1024)
def header_knobs(value: str) -> dict[str, Any]:
    """Knobs of an `x-sim` header: a JSON object, or `events=3;delay_ms=5;header.retry-after=1`."""
    if not value.lstrip().startswith("{"):
        return _pairs(value, ";")
    try:
        return msgspec.json.decode(value, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BehaviourError(f"x-sim: {error}") from None


@functools.lru_cache(maxsize=1024)
def model_knobs(model: str) -> dict[str, Any]:
    """Knobs after the first `+` of a model's name: `claude-sonnet-5-5+events=3+thinking=1`."""
    return _pairs(model.partition("+")[2], "+")


def base_model(model: str) -> str:
    return model.partition("+")[0]


def _pairs(value: str, separator: str) -> dict[str, Any]:
    knobs: dict[str, Any] = {}
    headers: dict[str, str] = {}
    for pair in value.split(separator):
        name, equals, raw = pair.strip().partition("=")
        if not name:
            continue
        setting = unquote(raw.strip()) if equals else "true"
        if name.startswith("header."):
            headers[name.removeprefix("header.")] = setting
        elif name == "at" and setting.isdigit():
            knobs[name] = int(setting)
        elif setting.startswith("{"):
            knobs[name] = _object(name, setting)
        else:
            knobs[name] = setting
    if headers:
        knobs["headers"] = headers
    return knobs


def _object(name: str, setting: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(setting, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BehaviourError(f"{name}: {error}") from None
