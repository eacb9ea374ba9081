"""Parts of a response that wait for their turn: tool calls may interleave in Chat Completions, blocks never do in Messages.

While one tool's block is open, everything that belongs elsewhere waits here, in the order in which it began.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from sluicegate.core.translate.chat_chunk import Call, Function

__all__ = ["Calls", "Speech", "Tool"]

_MAX_CHECKS: Final = 16
"""How often a tool's arguments are checked for completeness: each check reads all of them."""


class Speech:
    """Text or thinking that arrived while a tool's block was open."""

    __slots__ = ("kind", "pieces")

    def __init__(self, kind: Literal["text", "thinking"]) -> None:
        self.kind = kind
        self.pieces: list[str] = []


class Tool:
    """One tool call, as received so far."""

    __slots__ = ("_checks", "blank", "id", "loose", "name", "pieces", "sent")

    def __init__(self, id: str) -> None:
        self.id = id
        self.name = ""
        self.pieces: list[str] = []
        """All pieces of its arguments."""
        self.sent = 0
        """How many of them were sent."""
        self.blank = True
        """Only whitespace of the arguments has arrived."""
        self.loose = True
        """The arguments so far are not an object: they are held back and wrapped into one at the end."""
        self._checks = _MAX_CHECKS

    def add(self, piece: str) -> None:
        self.pieces.append(piece)
        if self.blank and (begun := piece.lstrip()):
            self.blank, self.loose = False, begun[0] != "{"

    def unsent(self) -> str:
        """The new pieces that can be sent."""
        if self.loose:
            return ""
        piece = "".join(self.pieces[self.sent :])
        self.sent = len(self.pieces)
        return piece

    def whole(self) -> bool:
        """Whether the arguments are a complete JSON object."""
        if self.blank or self._checks <= 0 or not self.pieces[-1].rstrip().endswith("}"):
            return False
        self._checks -= 1
        try:
            return isinstance(msgspec.json.decode("".join(self.pieces)), dict)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return False


class Calls:
    """Assigns deltas to calls: servers repeat ids, omit ids or indexes, or use the same ones for every call."""

    __slots__ = ("_by_id", "_by_index", "_last", "count")

    def __init__(self) -> None:
        self._by_id: dict[str, Tool] = {}
        self._by_index: dict[int, Tool] = {}
        self._last: Tool | None = None
        self.count = 0

    def of(self, call: Call) -> tuple[Tool, bool]:
        """The tool, and whether this is its first delta."""
        tool = self._by_id.get(call.id) if call.id else None
        if tool is None:
            tool = self._last if call.index is None else self._by_index.get(call.index)
            if tool is not None and ((call.id and tool.id) or _begins_another(tool, call.function)):
                tool = None  # another id, or another name: another call
        elif call.index is not None and self._by_index.get(call.index) is not tool and _begins_another(tool, call.function):
            tool = None  # one id for all calls
        new = tool is None
        if tool is None:
            tool = Tool("" if call.id in self._by_id else call.id or "")
            self.count += 1
        if call.id and not tool.id and call.id not in self._by_id:
            tool.id = call.id
        if call.id:
            self._by_id[call.id] = tool
        if call.index is not None:
            self._by_index[call.index] = tool
        self._last = tool
        return tool, new


def _begins_another(tool: Tool, function: Function | None) -> bool:
    """Whether a delta that names a function starts the next call, instead of repeating the name of this one."""
    if function is None or not function.name or not tool.name:
        return False
    if function.name != tool.name:
        return tool.blank or tool.whole()
    return bool((function.arguments or "").strip()) and tool.whole()
