"""Restoring in an answer that is one JSON document. What nothing is put into keeps its bytes.

Only `content` of a message is looked at: texts and tool inputs. Errors go on as the provider wrote them: clients recover by
their wording.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from sluicegate.core.redact.restore.content_blocks import RestoreReport, block_restorer
from sluicegate.core.redact.restore.text_restorer import PlaceholderMap
from sluicegate.core.redact.restore.tool_policy import ToolPolicy

__all__ = ["JsonAnswerRestorer", "encoded", "lenient", "raw_member", "restored_block", "with_members"]

_MAX_DOCUMENT: Final = 64 * 1024 * 1024
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError, ValueError, TypeError)


class JsonAnswerRestorer:
    """A Transform (exchange/taps.py): the document is complete only at its end."""

    def __init__(self, names: PlaceholderMap, policy: ToolPolicy, report: RestoreReport) -> None:
        self.names, self.policy, self.report = names, policy, report
        self._chunks: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        self._size += len(data)
        if self._size > _MAX_DOCUMENT:
            raise ValueError("the answer is too large to be read")
        self._chunks.append(data)
        return b""

    def end(self) -> bytes:
        body = b"".join(self._chunks)
        self._chunks.clear()
        try:
            return self._restored(body)
        except _UNREADABLE:  # it is no message that a client could read, and it goes on as it is
            return body

    def _restored(self, body: bytes) -> bytes:
        if lenient(raw_member(body, "type")) != "message":
            return body
        blocks = _items(raw_member(body, "content"))
        changed = False
        for at, block in enumerate(blocks):
            new = restored_block(bytes(block), self.names, self.policy, self.report)
            if new is not None:
                blocks[at] = msgspec.Raw(new)
                changed = True
        return with_members(body, content=msgspec.json.encode(blocks)) if changed else body


def restored_block(raw: bytes, names: PlaceholderMap, policy: ToolPolicy, report: RestoreReport) -> bytes | None:
    """A block with its values; None where nothing was put in."""
    members = _members(raw)
    kind = lenient(bytes(members.get("type", b"null")))
    block = block_restorer(kind, lenient(bytes(members.get("name", b"null"))), names, policy, report)
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
    return with_members(raw, **{field: encoded(out) if field == "text" else out.encode()})


def encoded(text: str) -> bytes:
    """A JSON string; lone surrogates as escapes."""
    try:
        return msgspec.json.encode(text)
    except UnicodeError:
        return json.dumps(text).encode()


def lenient(data: bytes) -> Any:
    """What a lenient reader reads; None where it can not."""
    try:
        return msgspec.json.decode(data)
    except _UNREADABLE:
        pass
    try:
        return json.loads(data.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        return None


def raw_member(data: bytes, name: str) -> bytes:
    """One member of an object, as its bytes; `null` where it is not there. ValueError where `data` is no object."""
    return bytes(_members(data).get(name, b"null"))


def with_members(data: bytes, **changed: bytes) -> bytes:
    """An object with some members replaced; all others keep their bytes and their order."""
    members = _members(data)
    members.update({name: msgspec.Raw(value) for name, value in changed.items()})
    return msgspec.json.encode(members)


def _members(data: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _MEMBERS.decode(data)
    except (msgspec.DecodeError, UnicodeError):
        read = json.loads(data)  # a lone surrogate
        return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in dict(read).items()}


def _items(data: bytes) -> list[msgspec.Raw]:
    try:
        return _ITEMS.decode(data)
    except (msgspec.DecodeError, UnicodeError):
        return [msgspec.Raw(json.dumps(value).encode()) for value in json.loads(data)]
