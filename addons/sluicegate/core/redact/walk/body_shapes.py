"""The structure of request bodies as tables: the strings that are defined by the API and are never scanned.

Everything that a table does not name is scanned at any depth, including keys. A fixed field is skipped only if it is a
string: an object in its place is scanned. Sources: the Messages API reference, the Message Batches reference and the Chat
Completions reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["BATCHES", "BODY", "FREE", "Data", "Each", "Fixed", "Free", "Object", "Shape", "shape_at"]


@dataclass(frozen=True, slots=True)
class Free:
    """Scanned, with everything below it."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A string that is not scanned; `deep`: and nothing below it, either."""

    deep: bool = False


@dataclass(frozen=True, slots=True)
class Data:
    """A string that is scanned unless it starts with one of these."""

    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Each:
    """A list whose items have a shape; a value that is not a list has it itself."""

    item: Shape


@dataclass(frozen=True, slots=True)
class Object:
    fields: Mapping[str, Shape]
    variants: Mapping[str, Object] = field(default_factory=dict)
    """Other shapes of the object, by the value of its key `by`."""
    by: str = "type"
    first: Mapping[str, int] = field(default_factory=dict)
    """Keys that are walked first, in this order."""
    or_list: bool = False
    """A list in place of the object has items of this shape."""

    def variant(self, value: Mapping[str, Any]) -> Object:
        kind = value.get(self.by) if self.variants else None
        return self.variants.get(kind, self) if isinstance(kind, str) else self


type Shape = Free | Fixed | Data | Each | Object

FREE: Final = Free()
_NAME: Final = Fixed()
_AS_IS: Final = Fixed(deep=True)

_CACHE: Final = Object({"type": _NAME, "ttl": _NAME})
_PICTURES: Final = Data(("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "JVBERi0"))
"""The base64 prefixes of PNG, JPEG, GIF, WebP and PDF. Other data, such as text or a table, is scanned as base64."""
_BASE64: Final = Object({"type": _NAME, "media_type": _NAME, "data": _PICTURES})
_IMAGE_URL: Final = Object({"url": Data(("data:image/", "data:application/pdf")), "detail": _NAME})

_BLOCK_FIELDS: Final[dict[str, Shape]] = {"type": _NAME, "cache_control": _CACHE, "text": FREE}
_TOOL_USE: Final = Object({**_BLOCK_FIELDS, "id": _NAME, "name": _NAME, "input": FREE})


def _blocks(variants: Mapping[str, Object]) -> Object:
    """Content: a string, or a list of blocks."""
    return Object(_BLOCK_FIELDS, variants, or_list=True)


_SOURCES: Final = Object({"type": _NAME, "media_type": _NAME, "data": FREE}, variants={"base64": _BASE64})
_MEDIA: Final = Object({**_BLOCK_FIELDS, "source": _SOURCES})
_PARTS: Final[dict[str, Object]] = {
    "image": _MEDIA,
    "document": _MEDIA,
    "tool_use": _TOOL_USE,
    "server_tool_use": _TOOL_USE,
    "mcp_tool_use": _TOOL_USE,
    "image_url": Object({**_BLOCK_FIELDS, "image_url": _IMAGE_URL}),
    "file": Object({**_BLOCK_FIELDS, "file": Object({"file_data": Data(("data:image/", "data:application/pdf"))})}),
    "input_audio": Object({**_BLOCK_FIELDS, "input_audio": Object({"data": _NAME, "format": _NAME})}),
}
_RESULT: Final = Object({**_BLOCK_FIELDS, "tool_use_id": _NAME, "is_error": FREE, "content": _blocks(_PARTS)})
_USER: Final[dict[str, Object]] = {**_PARTS, "tool_result": _RESULT, "mcp_tool_result": _RESULT}

# Content that the provider signed or encrypted: it accepts this only unchanged.
_ENCRYPTED: Final[dict[str, Shape]] = dict.fromkeys(("encrypted_content", "encrypted_index", "encrypted_stdout"), _NAME)
_SEARCH: Final = Object({"type": _NAME, **_ENCRYPTED})
_FROM_SERVER: Final = Object(
    {
        **_BLOCK_FIELDS,
        **_ENCRYPTED,
        "tool_use_id": _NAME,
        "content": Object({"type": _NAME, **_ENCRYPTED}, or_list=True),
    }
)
"""A block that the provider made: a result of one of its tools, a compaction, an adviser's message, what is yet to come."""
_ASSISTANT: Final[dict[str, Object]] = {
    **_USER,
    "thinking": Object({"type": _NAME, "thinking": _NAME, "signature": _NAME}),
    "redacted_thinking": Object({"type": _NAME, "data": _NAME}),
    "text": Object({**_BLOCK_FIELDS, "citations": Each(_SEARCH)}),
}
_CALLS: Final = Each(
    Object({"id": _NAME, "type": _NAME, "index": _NAME, "function": Object({"name": _NAME, "arguments": FREE})})
)


def _message(content: Object) -> Object:
    return Object({"role": _NAME, "content": content, "tool_calls": _CALLS, "tool_call_id": _NAME})


_MESSAGE: Final = Object(
    _message(_blocks(_USER)).fields,
    {"assistant": _message(Object(_FROM_SERVER.fields, _ASSISTANT, or_list=True))},
    by="role",
)
"""Only an assistant message holds content that the provider signed."""

_TOOL: Final = Object(
    {
        "name": _NAME,
        "type": _NAME,
        "description": FREE,
        "input_schema": _AS_IS,
        "cache_control": _CACHE,
        "function": Object({"name": _NAME, "description": FREE, "parameters": _AS_IS}),
    }
)
_BODY_FIELDS: Final[dict[str, Shape]] = {
    "model": _NAME,
    "tools": Each(_TOOL),
    "system": _blocks({}),
    "messages": Each(_MESSAGE),
    "metadata": _AS_IS,
    "stop_sequences": Each(_NAME),
    "stop": Each(_NAME),
    "tool_choice": Object({"type": _NAME, "name": _NAME, "function": Object({"name": _NAME})}),
    "thinking": Object({"type": _NAME}),
    "service_tier": _NAME,
    "container": FREE,
}
_SAMPLING: Final = (
    "max_tokens max_completion_tokens stream temperature top_p top_k n seed reasoning_effort parallel_tool_calls "
    "presence_penalty frequency_penalty"
)
BODY: Final = Object(
    {**_BODY_FIELDS, **dict.fromkeys(_SAMPLING.split(), _NAME)},
    first={"tools": 0, "system": 1, "messages": 2},
)
BATCHES: Final = Object({"requests": Each(Object({"custom_id": FREE, "params": BODY}))})

_BY_PATH: Final[tuple[tuple[str, Shape], ...]] = (("/messages/batches", BATCHES), ("/chat/completions", BODY))


def shape_at(path: str) -> Shape:
    """The shape of a body that no client format gives, by the end of its path (with its query)."""
    bare = path.partition("?")[0].rstrip("/")
    return next((shape for end, shape in _BY_PATH if bare.endswith(end)), FREE)
