"""Thinking blocks and a change of the model: their signatures hold for the model that made them, and for no other.

Signatures are good across Anthropic, Bedrock and Vertex for the same model; another model answers 400 "invalid signature".
Thinking that was translated from another API has an empty one, which no Anthropic model takes. After a fallback the client
keeps what another model thought, or a turn without any thinking, and sends it to the first model again: that one's 400 is
told by its words (`is_refusal_of_thinking`), and the request is good without its thinking (`without_refused_thinking`).
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
"""Words of the API: "Invalid `signature` in `thinking` block", "`thinking` or `redacted_thinking` blocks in the latest
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
    """The request without its thinking blocks; the same object where it has none. All other values keep their bytes.

    A turn that held nothing else goes as a whole. Where the last assistant turn loses its thinking while a tool's result is
    awaited, extended thinking is off for this request: the API wants such a turn to begin with its thinking.
    ValueError where the body is no Messages request.
    """
    return _without(body, _is_thinking) if b"thinking" in body else body


def without_unsigned_thinking(body: bytes) -> bytes:
    """The request without the thinking that answers of another API left in it; the same where it is no Messages request."""
    if b'"signature"' in body and _UNSIGNED.search(body):
        with contextlib.suppress(ValueError):
            return _without(body, _is_unsigned)
    return body


def is_refusal_of_thinking(body: bytes) -> bool:
    """Whether the body of a 400 says that the thinking in the request's history is not as it has to be."""
    return _REFUSAL.search(body[:4096]) is not None


def without_refused_thinking(body: bytes) -> bytes:
    """The request without its thinking blocks, and, while a tool's result is awaited, without thinking at all: the turn
    that asked for the tool may have been another model's. The same object where that changes nothing.

    ValueError where the body is no Messages request.
    """
    stripped = without_thinking(body)
    try:
        fields = _OBJECT.decode(stripped)
        turns = _LIST.decode(fields["messages"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError) as e:
        raise ValueError("the body is no Messages request") from e
    if "thinking" not in fields or not turns or b'"tool_result"' not in bytes(turns[-1]):
        return stripped
    _turn_off(fields)
    return msgspec.json.encode(fields)


def _turn_off(fields: dict[str, msgspec.Raw]) -> None:
    """No extended thinking, and no rule for it: the API refuses `clear_thinking` where there is none."""
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
        raise ValueError("the body is no Messages request") from e
    if not changed:
        return body
    fields["messages"] = msgspec.Raw(msgspec.json.encode(kept))
    if last_lost and b'"tool_result"' in bytes(turns[-1]):
        _turn_off(fields)
    return msgspec.json.encode(fields)


def _stripped(turns: list[msgspec.Raw], goes: Callable[[_Typed], bool]) -> tuple[list[msgspec.Raw], bool, bool]:
    """The turns that stay, whether any lost something, and whether the last assistant turn did."""
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
