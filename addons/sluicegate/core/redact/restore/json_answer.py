"""Restores the values in an answer that is one JSON document. The rest of the document keeps its bytes.

Only the `content` of a message is restored: texts and tool inputs. Errors pass as the provider wrote them, because clients
depend on their wording.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from sluicegate.core.redact.hide.placeholder_map import PlaceholderMap
from sluicegate.core.redact.restore.content_blocks import RestoreReport, block_restorer
from sluicegate.core.redact.restore.tool_policy import ToolPolicy
from sluicegate.core.redact.walk.json_document import json_string

__all__ = ["JsonAnswerRestorer", "lenient", "raw_member", "restored_block", "with_members"]

_MAX_DOCUMENT: Final = 64 * 1024 * 1024
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError, ValueError, TypeError)


class JsonAnswerRestorer:
    """A Transform (exchange/taps.py) that returns everything at the end, when the document is complete."""

    def __init__(self, placeholders: PlaceholderMap, policy: ToolPolicy, report: RestoreReport) -> None:
        self.placeholders, self.policy, self.report = placeholders, policy, report
        self._chunks: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        self._size += len(data)
        if self._size > _MAX_DOCUMENT:
            raise ValueError("answer too large to be restored")
        self._chunks.append(data)
        return b""

    def end(self) -> bytes:
        body = b"".join(self._chunks)
        self._chunks.clear()
        try:
            return self._restored(body)
        except _UNREADABLE:  # not a message that a client could read: passed unchanged
            return body

    def _restored(self, body: bytes) -> bytes:
        if lenient(raw_member(body, "type")) != "message":
            return body
        blocks = _items(raw_member(body, "content"))
        changed = False
        for at, block in enumerate(blocks):
            new = restored_block(bytes(block), self.placeholders, self.policy, self.report)
            if new is not None:
                blocks[at] = msgspec.Raw(new)
                changed = True
        return with_members(body, content=msgspec.json.encode(blocks)) if changed else body


def restored_block(raw: bytes, placeholders: PlaceholderMap, policy: ToolPolicy, report: RestoreReport) -> bytes | None:
    """A block with its values; None if it does not change."""
    members = _members(raw)
    kind = lenient(bytes(members.get("type", b"null")))
    block = block_restorer(kind, lenient(bytes(members.get("name", b"null"))), placeholders, policy, report)
    field = "text" if kind == "text" else "input"
    if block is None or field not in members:
        return None
    given = bytes(members[field])
    text = lenient(given) if field == "text" else given.decode()
    if not isinstance(text, str):
        return None
    out = block.feed(text) + block.end(whole=True)
    if out == text:
        return None
    return with_members(raw, **{field: json_string(out) if field == "text" else out.encode()})


def lenient(data: bytes) -> Any:
    """A JSON value, read leniently; None if it is invalid."""
    try:
        return msgspec.json.decode(data)
    except _UNREADABLE:
        pass
    try:
        return json.loads(data.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        return None


def raw_member(data: bytes, name: str) -> bytes:
    """The bytes of one member of an object, `null` if it is missing. Raises ValueError if `data` is not an object."""
    return bytes(_members(data).get(name, b"null"))


def with_members(data: bytes, **changed: bytes) -> bytes:
    """An object with some members replaced; the others keep their bytes and their order."""
    members = _members(data)
    members.update({name: msgspec.Raw(value) for name, value in changed.items()})
    return msgspec.json.encode(members)


def _members(data: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _MEMBERS.decode(data)
    except (msgspec.DecodeError, UnicodeError):
        read = json.loads(data)  # has a lone surrogate
        return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in dict(read).items()}


def _items(data: bytes) -> list[msgspec.Raw]:
    try:
        return _ITEMS.decode(data)
    except (msgspec.DecodeError, UnicodeError):
        return [msgspec.Raw(json.dumps(value).encode()) for value in json.loads(data)]
