"""Why a prompt that was cached is not read from the cache any more: the first byte and block that changed.

Per session and line of conversation the last request is remembered. When the provider reads less from its cache than the
request before left there, the two are compared block by block, in the order in which they are cached: tools, system,
messages. cache_control itself is no part of the prefix.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

__all__ = ["Finding", "Fingerprint", "Reason", "Turn", "finding_of", "fingerprint", "same_line"]

Reason = Literal["changed", "removed", "parameters", "model", "provider", "expired", "unmarked", "evicted"]

_LEAST_LOST: Final = 64
"""Tokens: less is no fall, counts differ a little from one request to the next."""
_TTL_S: Final = {"5m": 300.0, "1h": 3600.0}
_SHOWN: Final = 40
_PARAMETERS: Final = ("tool_choice", "thinking", "output_config", "context_management", "speed")
"""What, besides the blocks, invalidates cached messages (docs.anthropic.com, "What invalidates the cache")."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells whether two requests are of one conversation: hashes, no text."""

    prefix: bytes
    """Of tools and system."""
    opening: bytes
    """Of the first message."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A request as its answer left it."""

    body: bytes = field(repr=False)
    print: Fingerprint
    model: str
    provider: str
    """And key: caches are kept per workspace."""
    read: int
    """Tokens that the provider read from its cache."""
    written: int
    at_s: float
    """When the answer began; monotonic."""
    ttl: str = "5m"


@dataclass(frozen=True, slots=True)
class Finding:
    """`where` and `byte` name the first difference; `before` and `now` quote around it (placeholders as they were sent)."""

    reason: Reason
    lost_tokens: int
    where: str | None = None
    byte: int | None = None
    """Counted in the prompt's blocks, written as JSON without white space or cache_control."""
    before: str | None = None
    now: str | None = None
    idle_s: float | None = None

    def told(self) -> str:
        """In one sentence."""
        match self.reason:
            case "changed":
                return f"{self.where} changed at byte {self.byte}"
            case "removed":
                return f"{self.where} is not there any more"
            case "parameters":
                return f"the parameter {self.where} changed"
            case "model":
                return "another model was asked"
            case "provider":
                return "another provider or key was asked, and caches are not shared"
            case "expired":
                return f"{self.idle_s:.0f} s went by since the last request, more than the cache lasts"
            case "unmarked":
                return "the client set fewer cache_control markers than before"
            case "evicted":
                return "nothing changed: the provider let go of it"


class _Parts(msgspec.Struct):
    tools: msgspec.Raw = msgspec.Raw(b"")
    system: msgspec.Raw = msgspec.Raw(b"")
    messages: list[msgspec.Raw] = []


def fingerprint(body: bytes) -> Fingerprint | None:
    """Cheap: of most requests no more is ever needed. None where the body is none that can be read."""
    try:
        parts = msgspec.json.decode(body, type=_Parts)
        prefix = _digest(parts.tools) + _digest(parts.system)
        return Fingerprint(prefix, _digest(parts.messages[0]) if parts.messages else b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _digest(raw: msgspec.Raw) -> bytes:
    """Of a part without its markers, which move from turn to turn."""
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


def same_line(before: Fingerprint, now: Fingerprint) -> bool:
    """Whether one conversation goes on: it opened alike, or tools and system are alike. (A session has side requests.)"""
    return before.opening == now.opening or before.prefix == now.prefix


def finding_of(before: Turn, now: Turn) -> Finding | None:
    """Why the provider read less than the turn before left in its cache; None where it did not."""
    lost = before.read + before.written - now.read
    if lost < _LEAST_LOST:
        return None
    if before.model != now.model:
        return Finding("model", lost)
    if before.provider != now.provider:
        return Finding("provider", lost)
    was, is_ = _read(before.body) or {}, _read(now.body) or {}
    if found := _first_change(was, is_, lost):
        return found
    if name := next((n for n in _PARAMETERS if was.get(n) != is_.get(n)), None):
        return Finding("parameters", lost, where=name)
    idle_s = now.at_s - before.at_s
    if idle_s >= _TTL_S[before.ttl]:
        return Finding("expired", lost, idle_s=idle_s)
    return Finding("unmarked" if _markers(is_) < _markers(was) else "evicted", lost)


def _first_change(before: dict[str, Any], now: dict[str, Any], lost: int) -> Finding | None:
    offset, later = 0, _blocks(now)
    for where, block in _blocks(before):
        old = msgspec.json.encode(_unmarked(block))
        there, new_block = next(later, (None, None))
        if there is None:
            return Finding("removed", lost, where=where, byte=offset)
        new = msgspec.json.encode(_unmarked(new_block))
        if old != new or where != there:
            at = next((k for k, (x, y) in enumerate(zip(old, new, strict=False)) if x != y), min(len(old), len(new)))
            was, is_ = (piece[max(0, at - 10) : at + _SHOWN].decode("utf-8", "replace") for piece in (old, new))
            return Finding("changed", lost, there, offset + at, was, is_)
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
    """Where and what, in the order in which the provider caches; a string is the same as one text block."""
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
    """A block without its markers; a tool's own input may well have such a key."""
    if not isinstance(block, dict) or "cache_control" not in block:
        return block
    return {k: v for k, v in block.items() if k != "cache_control"}
