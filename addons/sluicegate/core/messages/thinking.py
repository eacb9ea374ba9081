"""Thinking blocks after a change of the model: a signature is valid only for the model that made it.

Signatures are valid across Anthropic, Bedrock and Vertex for the same model; another model returns 400 "invalid signature".
Thinking that was translated from another API has an empty signature, which every Anthropic model rejects. After a fallback
the client sends the other model's thinking, or a turn without thinking, to the first model again. Its 400 is recognised by
the message (`is_refusal_of_thinking`); the request is valid without its thinking (`without_refused_thinking`).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

__all__ = ["is_refusal_of_thinking", "without_refused_thinking", "without_thinking", "without_unsigned_thinking"]

_KINDS: Final = frozenset({"thinking", "redacted_thinking"})
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])


_REFUSAL: Final = re.compile(
    rb"(?:redacted_)?thinking\W{0,8} blocks?\b|thinking\.signature|expected\W{1,8}thinking\b", re.I
)
"""The API's messages: "Invalid `signature` in `thinking` block", "`thinking` or `redacted_thinking` blocks in the latest
assistant message cannot be modified", "Expected `thinking` or `redacted_thinking`, but found `tool_use`"."""
_UNSIGNED: Final = re.compile(rb'"signature"\s*:\s*""')


class _Typed(msgspec.Struct):
    type: Any = None
    signature: Any = None


class _Turn(msgspec.Struct):
    role: Any = None
    content: msgspec.Raw = msgspec.Raw(b"")


_TYPED: Final = msgspec.json.Decoder(_Typed)
_TURN: Final = msgspec.json.Decoder(_Turn)


def without_thinking(body: bytes) -> bytes:
    """The request without its thinking blocks; the same object if it has none. All other values keep their bytes.

    A turn without other blocks is dropped. If the last assistant turn loses its thinking while a tool result is pending,
    extended thinking is switched off for this request, as the API requires such a turn to start with thinking.
    Raises ValueError unless the body is a Messages request.
    """
    return _without(body, _is_thinking) if b"thinking" in body else body


def without_unsigned_thinking(body: bytes) -> bytes:
    """The request without unsigned thinking (of another API's responses); unchanged unless it is a Messages request."""
    if b'"signature"' in body and _UNSIGNED.search(body):
        with contextlib.suppress(ValueError):
            return _without(body, _is_unsigned)
    return body


def is_refusal_of_thinking(body: bytes) -> bool:
    """Whether the body of a 400 rejects the thinking in the request's history."""
    return _REFUSAL.search(body[:4096]) is not None


def without_refused_thinking(body: bytes) -> bytes:
    """The request without its thinking blocks, and with extended thinking off while a tool result is pending.

    The turn that called the tool may be another model's. The same object if nothing changes. Raises ValueError unless the
    body is a Messages request.
    """
    stripped = without_thinking(body)
    try:
        fields = _OBJECT.decode(stripped)
        turns = _LIST.decode(fields["messages"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError) as e:
        raise ValueError("the body is not a Messages request") from e
    if "thinking" not in fields or not turns or b'"tool_result"' not in bytes(turns[-1]):
        return stripped
    _turn_off(fields)
    return msgspec.json.encode(fields)


def _turn_off(fields: dict[str, msgspec.Raw]) -> None:
    """Switch extended thinking off, with its context rule: the API refuses `clear_thinking` without thinking."""
    fields.pop("thinking", None)
    try:
        context = _OBJECT.decode(fields["context_management"])
        edits = _LIST.decode(context["edits"])
        kept = [e for e in edits if not str(_TYPED.decode(e).type).startswith("clear_thinking")]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        return
    if len(kept) == len(edits):
        return
    context["edits"] = msgspec.Raw(msgspec.json.encode(kept))
    if kept:
        fields["context_management"] = msgspec.Raw(msgspec.json.encode(context))
    else:
        del fields["context_management"]


def _is_thinking(block: _Typed) -> bool:
    return isinstance(block.type, str) and block.type in _KINDS


def _is_unsigned(block: _Typed) -> bool:
    return bool(block.type == "thinking" and block.signature == "")


def _without(body: bytes, goes: Callable[[_Typed], bool]) -> bytes:
    try:
        fields = _OBJECT.decode(body)
        turns = _LIST.decode(fields["messages"])
        kept, changed, last_lost = _stripped(turns, goes)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError) as e:
        raise ValueError("the body is not a Messages request") from e
    if not changed:
        return body
    fields["messages"] = msgspec.Raw(msgspec.json.encode(kept))
    if last_lost and b'"tool_result"' in bytes(turns[-1]):
        _turn_off(fields)
    return msgspec.json.encode(fields)


def _stripped(turns: list[msgspec.Raw], goes: Callable[[_Typed], bool]) -> tuple[list[msgspec.Raw], bool, bool]:
    """The remaining turns, whether any turn lost a block, and whether the last assistant turn did."""
    kept: list[msgspec.Raw] = []
    changed = last_lost = False
    for raw in turns:
        turn = _TURN.decode(raw)
        if turn.role != "assistant" or not bytes(turn.content).lstrip().startswith(b"["):
            kept.append(raw)
            continue
        blocks = _LIST.decode(turn.content)
        stay = [b for b in blocks if not goes(_TYPED.decode(b))]
        last_lost = len(stay) != len(blocks)
        if not last_lost:
            kept.append(raw)
            continue
        changed = True
        if stay:
            fields = _OBJECT.decode(raw)
            fields["content"] = msgspec.Raw(msgspec.json.encode(stay))
            kept.append(msgspec.Raw(msgspec.json.encode(fields)))
    return kept, changed, last_lost
