"""Reading a Chat Completions chunk or completion: fast if it is as documented, tolerant if not.

What servers are known to do: numbers as strings, `content` as a list of parts (Mistral), arguments as an object, lone
surrogates, an error in place of choices. A completion's `message` reads as a chunk's `delta`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sluicegate.core.translate.base import Malformed
from sluicegate.core.translate.errors import Fault, chat_fault
from sluicegate.core.translate.reading import decode

__all__ = ["Call", "Choice", "Chunk", "Delta", "Function", "read_chunk", "tool_input"]


class Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None
    """The predecessor of tool_calls."""


class Choice(msgspec.Struct):
    index: int | None = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None


class Chunk(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    object: str | None = None
    created: int | None = None
    choices: list[Choice] | None = None
    usage: Any = None
    x_groq: Any = None
    error: Any = None

    def spent(self) -> Any:
        """The chunk's usage, if any; also from Groq's older field."""
        if self.usage is None and isinstance(self.x_groq, dict):
            return self.x_groq.get("usage")
        return self.usage


_DECODER: Final = msgspec.json.Decoder(Chunk)


def read_chunk(data: bytes) -> Chunk | Fault | None:
    """A chunk, the fault that it reports, or None if it is neither."""
    try:
        chunk = _DECODER.decode(data)
        if chunk.choices is not None and chunk.error is None:
            return chunk
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        value = decode(data)
    except Malformed:
        return None
    return chat_fault(value) or _tolerant(value)


def tool_input(arguments: str) -> dict[str, Any]:
    """A tool call's arguments as an object. Other values are kept as text, so they are not lost."""
    if not arguments.strip():
        return {}
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {"arguments": arguments}
    if isinstance(value, dict):
        return value
    if isinstance(value, str) and value.lstrip().startswith("{"):  # encoded twice
        return tool_input(value)
    return {} if value is None else {"arguments": arguments}


def _tolerant(value: dict[str, Any]) -> Chunk:
    choices = value.get("choices")
    return Chunk(
        id=_text(value.get("id")),
        model=_text(value.get("model")),
        created=_whole(value.get("created")),
        choices=[_choice(c) for c in choices if isinstance(c, dict)] if isinstance(choices, list) else None,
        usage=value.get("usage"),
        x_groq=value.get("x_groq"),
    )


def _choice(value: dict[str, Any]) -> Choice:
    index = value.get("index")
    return Choice(
        index=0 if index is None else _whole(index),
        delta=_delta(value.get("delta")),
        message=_delta(value.get("message")),
        finish_reason=_text(value.get("finish_reason")),
    )


def _delta(value: object) -> Delta | None:
    if not isinstance(value, dict):
        return None
    content, thought = value.get("content"), ""
    if isinstance(content, list):
        thought = _texts(content, "thinking")
        content = _texts(content, "text")
    calls = value.get("tool_calls")
    return Delta(
        content=_text(content),
        refusal=_text(value.get("refusal")),
        reasoning_content=_text(value.get("reasoning_content")) or thought or None,
        reasoning=_text(value.get("reasoning")),
        tool_calls=[_call(c) for c in calls if isinstance(c, dict)] if isinstance(calls, list) else None,
        function_call=_function(value.get("function_call")),
    )


def _texts(parts: list[Any], kind: str) -> str:
    """The texts of the parts of one kind; thinking may contain parts."""
    found: list[str] = []
    for part in parts:
        value: Any = part.get(kind) if isinstance(part, dict) and part.get("type") == kind else None
        if isinstance(value, list) and kind == "thinking":
            value = _texts(value, "text")
        if isinstance(value, str):
            found.append(value)
    return "".join(found)


def _call(value: dict[str, Any]) -> Call:
    return Call(_whole(value.get("index")), _text(value.get("id")), _function(value.get("function")))


def _function(value: object) -> Function | None:
    if not isinstance(value, dict):
        return None
    arguments = value.get("arguments")
    if isinstance(arguments, (dict, list)):
        arguments = msgspec.json.encode(arguments).decode()
    return Function(_text(value.get("name")), _text(arguments))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**31:
        return int(value)
    return value if type(value) is int else None
