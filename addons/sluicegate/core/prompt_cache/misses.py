"""Explains a prompt cache miss: the first block and byte that changed, or another cause.

When the provider reads less from its cache than the previous request of the conversation had left there, the two requests
are compared block by block in caching order: tools, system, messages. cache_control is not part of the cached prefix.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

__all__ = ["Fingerprint", "PromptCacheMiss", "Reason", "Turn", "explain_miss", "fingerprint", "same_conversation"]

Reason = Literal["changed", "removed", "parameters", "model", "provider", "expired", "unmarked", "evicted"]

_MIN_LOST_TOKENS: Final = 64
"""Tokens: a smaller difference is not a miss, because counts vary a little between requests."""
_TTL_S: Final = {"5m": 300.0, "1h": 3600.0}
_SHOWN: Final = 40
_PARAMETERS: Final = ("tool_choice", "thinking", "output_config", "context_management", "speed")
"""Parameters that invalidate cached messages (docs.anthropic.com, "What invalidates the cache")."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Hashes that tell whether two requests belong to one conversation."""

    prefix: bytes
    """Of tools and system."""
    opening: bytes
    """Of the first message."""


@dataclass(frozen=True, slots=True)
class Turn:
    """An answered request, and what its answer says about the provider's cache."""

    body: bytes = field(repr=False)
    print: Fingerprint
    model: str
    provider: str
    """With the key: caches are kept per workspace."""
    read: int
    """Tokens that the provider read from its cache."""
    written: int
    at_s: float
    """When the answer began; monotonic."""
    ttl: str = "5m"


@dataclass(frozen=True, slots=True)
class PromptCacheMiss:
    """`where` and `byte` locate the first difference; `before` and `now` quote the text around it, as it was sent."""

    reason: Reason
    lost_tokens: int
    where: str | None = None
    byte: int | None = None
    """Offset in the prompt's blocks as JSON without white space and cache_control."""
    before: str | None = None
    now: str | None = None
    idle_s: float | None = None

    def describe(self) -> str:
        """The cause in one sentence."""
        match self.reason:
            case "changed":
                return f"{self.where} changed at byte {self.byte}"
            case "removed":
                return f"{self.where} was removed"
            case "parameters":
                return f"the parameter {self.where} changed"
            case "model":
                return "the request went to another model"
            case "provider":
                return "the request went to another provider or key, and caches are not shared"
            case "expired":
                return f"the cache expired: {self.idle_s:.0f} s since the previous request"
            case "unmarked":
                return "the client set fewer cache_control markers than before"
            case "evicted":
                return "nothing changed: the provider evicted it"


class _Parts(msgspec.Struct):
    tools: msgspec.Raw = msgspec.Raw(b"")
    system: msgspec.Raw = msgspec.Raw(b"")
    messages: list[msgspec.Raw] = []


def fingerprint(body: bytes) -> Fingerprint | None:
    """Cheap, because most requests need nothing more. None if the body cannot be parsed."""
    try:
        parts = msgspec.json.decode(body, type=_Parts)
        prefix = _digest(parts.tools) + _digest(parts.system)
        return Fingerprint(prefix, _digest(parts.messages[0]) if parts.messages else b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _digest(raw: msgspec.Raw) -> bytes:
    """Hash of a part without its markers, which move from turn to turn."""
    data = bytes(raw)
    if b'"cache_control"' in data:
        data = msgspec.json.encode(_bare(msgspec.json.decode(data)))
    return hashlib.blake2b(data, digest_size=16).digest()


def _bare(value: Any) -> Any:
    match value:
        case dict():
            return {k: _bare(v) for k, v in value.items() if k != "cache_control"}
        case list():
            return [_bare(v) for v in value]
    return value


def same_conversation(before: Fingerprint, now: Fingerprint) -> bool:
    """Whether both belong to one conversation: same first message, or same tools and system."""
    return before.opening == now.opening or before.prefix == now.prefix


def explain_miss(before: Turn, now: Turn) -> PromptCacheMiss | None:
    """Why the provider read less than the previous turn had left in its cache; None if it did not read less."""
    lost = before.read + before.written - now.read
    if lost < _MIN_LOST_TOKENS:
        return None
    if before.model != now.model:
        return PromptCacheMiss("model", lost)
    if before.provider != now.provider:
        return PromptCacheMiss("provider", lost)
    was, is_ = _read(before.body) or {}, _read(now.body) or {}
    if found := _first_change(was, is_, lost):
        return found
    if name := next((n for n in _PARAMETERS if was.get(n) != is_.get(n)), None):
        return PromptCacheMiss("parameters", lost, where=name)
    idle_s = now.at_s - before.at_s
    if idle_s >= _TTL_S[before.ttl]:
        return PromptCacheMiss("expired", lost, idle_s=idle_s)
    return PromptCacheMiss("unmarked" if _markers(is_) < _markers(was) else "evicted", lost)


def _first_change(before: dict[str, Any], now: dict[str, Any], lost: int) -> PromptCacheMiss | None:
    offset, later = 0, _blocks(now)
    for where, block in _blocks(before):
        old = msgspec.json.encode(_unmarked(block))
        there, new_block = next(later, (None, None))
        if there is None:
            return PromptCacheMiss("removed", lost, where=where, byte=offset)
        new = msgspec.json.encode(_unmarked(new_block))
        if old != new or where != there:
            at = next((k for k, (x, y) in enumerate(zip(old, new, strict=False)) if x != y), min(len(old), len(new)))
            was, is_ = (piece[max(0, at - 10) : at + _SHOWN].decode("utf-8", "replace") for piece in (old, new))
            return PromptCacheMiss("changed", lost, there, offset + at, was, is_)
        offset += len(old)
    return None


def _markers(body: dict[str, Any]) -> int:
    marked = sum("cache_control" in block for _, block in _blocks(body) if isinstance(block, dict))
    return marked + ("cache_control" in body)


def _read(body: bytes) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _blocks(body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Path and block, in the order in which the provider caches; a string counts as one text block."""
    tools = body.get("tools")
    for i, tool in enumerate(tools if isinstance(tools, list) else ()):
        yield f"tools[{i}]", tool
    yield from _content(body.get("system"), "system", "system")
    messages = body.get("messages")
    for i, message in enumerate(messages if isinstance(messages, list) else ()):
        if isinstance(message, dict):
            yield from _content(message.get("content"), f"messages[{i}].content", message.get("role"))


def _content(content: Any, where: str, role: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    for i, block in enumerate(content if isinstance(content, list) else ()):
        yield f"{where}[{i}]", {"role": role, **block} if isinstance(block, dict) else block


def _unmarked(block: Any) -> Any:
    """A block without its own marker; a `cache_control` deeper inside may be a tool's input."""
    if not isinstance(block, dict) or "cache_control" not in block:
        return block
    return {k: v for k, v in block.items() if k != "cache_control"}
