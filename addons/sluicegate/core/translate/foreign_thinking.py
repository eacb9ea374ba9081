"""Thinking that an answer of another provider left in a conversation: Anthropic refuses it, for it has no signature.

Translated answers carry thinking with an empty signature. When the conversation then goes to an Anthropic model, those
blocks have to go; Anthropic's own never have an empty signature.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from sluicegate.core.members import edited, top

__all__ = ["without_unsigned_thinking"]

_UNSIGNED: Final = re.compile(rb'"signature"\s*:\s*""')


class _Block(msgspec.Struct):
    type: str | None = None
    signature: str | None = None


_Turn = dict[str, msgspec.Raw]


def without_unsigned_thinking(body: bytes) -> bytes:
    """A Messages body without unsigned thinking: the same bytes where it has none, or is no such body.

    What stays keeps its bytes, its keys their order. A turn of nothing else is left out.
    """
    if not _UNSIGNED.search(body):
        return body
    messages = (top(body) or {}).get("messages")
    if messages is None:
        return body
    try:
        turns = msgspec.json.decode(messages, type=list[_Turn])
        kept = [turn for turn in (_signed(turn) for turn in turns) if turn]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    return body if kept == turns else edited(body, put={"messages": msgspec.Raw(msgspec.json.encode(kept))})


def _signed(turn: _Turn) -> _Turn | None:
    content = turn.get("content")
    if content is None or not _UNSIGNED.search(content) or not bytes(content).startswith(b"["):
        return turn
    blocks = msgspec.json.decode(content, type=list[msgspec.Raw])
    kept = [raw for raw in blocks if not _is_unsigned(raw)]
    if len(kept) == len(blocks):
        return turn
    return {**turn, "content": msgspec.Raw(msgspec.json.encode(kept))} if kept else None


def _is_unsigned(raw: msgspec.Raw) -> bool:
    try:
        block = msgspec.json.decode(raw, type=_Block)
    except msgspec.ValidationError:
        return False
    return block.type == "thinking" and block.signature == ""
