"""Adds cache_control markers for clients that set none (docs.anthropic.com, "Prompt caching").

At most four: on the last tool that is not deferred, the last stable system block, the end of the previous turn if more
blocks were added than the provider looks back, and the automatic one at the top level. Nothing is reordered, every other
value keeps its bytes, and equal bodies get equal markers: a conversation's prefix must not change between turns.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import msgspec

from sluicegate.core.messages.attribution import is_attribution

__all__ = ["Ttl", "has_markers", "min_cacheable_tokens", "with_markers"]

Ttl = Literal["5m", "1h"]
Fields = dict[str, msgspec.Raw]

_MARK: Final = b'"cache_control"'
_LOOK_BACK: Final = 15
"""The provider looks back 20 blocks from a marker; with more new blocks than this the previous turn's end gets its own."""
_NOT_MARKABLE: Final = ("thinking", "redacted_thinking")
_UNSTABLE: Final = re.compile(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d")
"""A time of day in a system block: it changes with the next request, so nothing from there on can be cached."""

_MIN_TOKENS: Final = (
    ("opus-4-1", 1024), ("opus-4-2", 1024), ("opus-4-0", 1024), ("opus-4@", 1024), ("3-opus", 1024),
    ("opus-4-7", 2048), ("opus-4-8", 1024), ("opus-4", 4096), ("opus", 512), ("fable", 512), ("mythos", 512),
    ("3-5-haiku", 2048), ("haiku-3", 2048), ("3-haiku", 2048), ("haiku", 4096), ("", 1024),
)  # fmt: skip
"""A part of a name → tokens (docs.anthropic.com, "Prompt caching", as of 2026-11-29). Models after Opus 5, Fable 5,
Mythos 5 and Haiku 4.5, for which no number was found, have that of their predecessor."""
_BYTES_PER_TOKEN: Final = 4


def min_cacheable_tokens(model: str) -> int:
    """The shortest prefix, in tokens, that the provider caches for a model; the first matching row counts."""
    name = model.lower().replace(".", "-")
    return next(n for part, n in _MIN_TOKENS if part in name)


def has_markers(body: bytes) -> bool:
    """Whether the client set markers of its own, anywhere."""
    return _MARK in body or b"\\u005f" in body.lower() or b"\\u0063" in body.lower()  # the key may be escaped


def with_markers(body: bytes, ttl: Ttl = "5m", *, always: bool = False, automatic: bool = True) -> bytes | None:
    """The body with markers; None if it must not be changed.

    `always`: even if the prompt is too short to be cached. `automatic`: the provider knows cache_control at the top level;
    otherwise (legacy Bedrock) the last block that can carry a marker gets one.
    """
    if has_markers(body):
        return None
    try:
        fields = msgspec.json.decode(body, type=Fields)
        model = msgspec.json.decode(fields["model"], type=str)
        if not always and len(body) // _BYTES_PER_TOKEN < min_cacheable_tokens(model):
            return None
        return _Injection(fields, ttl).run(automatic=automatic)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, ValueError):
        return None


class _Injection:
    def __init__(self, fields: Fields, ttl: Ttl) -> None:
        self.fields = fields
        self.marked = False
        control = {"type": "ephemeral"} if ttl == "5m" else {"type": "ephemeral", "ttl": ttl}
        self.control = msgspec.Raw(msgspec.json.encode(control))

    def run(self, *, automatic: bool) -> bytes | None:
        self._mark_tools()
        stable = self._mark_system()
        if stable is None:
            return None
        if stable:
            messages = msgspec.json.decode(self.fields["messages"], type=list[msgspec.Raw])
            self._mark_previous_turn(messages)
            if automatic:
                self.fields["cache_control"] = self.control
                self.marked = True
            elif (last := self._marked(messages[-1])) is not None:
                messages[-1] = last
                self.marked = True
            self.fields["messages"] = msgspec.Raw(msgspec.json.encode(messages))
        return msgspec.json.encode(self.fields) if self.marked else None

    def _mark_tools(self) -> None:
        if "tools" not in self.fields:
            return
        tools = msgspec.json.decode(self.fields["tools"], type=list[Fields])
        for i in range(len(tools) - 1, -1, -1):
            if tools[i].get("defer_loading") != msgspec.Raw(b"true"):
                tools[i]["cache_control"] = self.control
                self.marked = True
                self.fields["tools"] = msgspec.Raw(msgspec.json.encode(tools))
                return

    def _mark_system(self) -> bool | None:
        """Whether the messages after `system` can be cached; None: do not change the body."""
        raw = self.fields.get("system")
        if raw is None:
            return True
        system = msgspec.json.decode(raw)
        if isinstance(system, str):
            if _UNSTABLE.search(system):
                return False
            if system:
                block = {"type": "text", "text": msgspec.Raw(bytes(raw)), "cache_control": self.control}
                self.fields["system"] = msgspec.Raw(msgspec.json.encode([block]))
                self.marked = True
            return True
        if not isinstance(system, list) or any(is_attribution(block) for block in system):
            return None
        blocks = msgspec.json.decode(raw, type=list[Fields])
        texts = [block.get("text") for block in system]
        unstable = next(
            (i for i, text in enumerate(texts) if isinstance(text, str) and _UNSTABLE.search(text)), len(blocks)
        )
        for i in range(unstable - 1, -1, -1):
            if texts[i]:
                blocks[i]["cache_control"] = self.control
                self.fields["system"] = msgspec.Raw(msgspec.json.encode(blocks))
                self.marked = True
                break
        return unstable == len(blocks)

    def _mark_previous_turn(self, messages: list[msgspec.Raw]) -> None:
        """Mark the end of the previous request, if the provider would not find it by looking back."""
        plain = [msgspec.json.decode(m, type=_Message) for m in messages]
        at = len(plain) - 1
        while at >= 0 and plain[at].role != "assistant":
            at -= 1
        while at >= 0 and plain[at].role == "assistant":
            at -= 1
        added = sum(len(m.content) if isinstance(m.content, list) else 1 for m in plain[at + 1 :])
        if at >= 0 and added > _LOOK_BACK and (marked := self._marked(messages[at])) is not None:
            messages[at] = marked
            self.marked = True

    def _marked(self, raw: msgspec.Raw) -> msgspec.Raw | None:
        """The message with a marker on its last block that can carry one; None if no block can."""
        message = msgspec.json.decode(raw, type=Fields)
        content = msgspec.json.decode(message["content"])
        if isinstance(content, str):
            if not content:
                return None
            block = {"type": "text", "text": message["content"], "cache_control": self.control}
            message["content"] = msgspec.Raw(msgspec.json.encode([block]))
            return msgspec.Raw(msgspec.json.encode(message))
        blocks = msgspec.json.decode(message["content"], type=list[Fields])
        for i in range(len(blocks) - 1, -1, -1):
            if content[i].get("type") not in _NOT_MARKABLE and content[i].get("text") != "":
                blocks[i]["cache_control"] = self.control
                message["content"] = msgspec.Raw(msgspec.json.encode(blocks))
                return msgspec.Raw(msgspec.json.encode(message))
        return None


class _Message(msgspec.Struct):
    role: str
    content: Any = None
