"""Removes the line that Claude Code puts first in `system` for Anthropic's billing: it changes with every request.

Other providers ignore it, and it defeats their prefix cache, so it is removed for them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sluicegate.core.messages.attribution import ATTRIBUTION_PREFIX
from sluicegate.core.wire.json_object import edited, top

__all__ = ["without_attribution"]

_SEEN: Final = ATTRIBUTION_PREFIX.encode()


class _Block(msgspec.Struct):
    text: str = ""


def without_attribution(body: bytes) -> bytes:
    """The same Messages request without the attribution block; the same bytes if there is none."""
    if _SEEN not in body:
        return body
    fields = top(body)
    system = fields.get("system") if fields else None
    if system is None:
        return body
    try:
        if system.lstrip()[:1] == b'"':
            text = msgspec.json.decode(system, type=str)
            if not text.startswith(ATTRIBUTION_PREFIX):
                return body
            rest = text.partition("\n")[2].lstrip("\n")
            return edited(body, put={"system": rest}) if rest else edited(body, drop=("system",))
        blocks = msgspec.json.decode(system, type=list[msgspec.Raw])
        kept = [block for block in blocks if not _is_attribution(block)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    if len(kept) == len(blocks):
        return body
    return edited(body, put={"system": msgspec.Raw(msgspec.json.encode(kept))}) if kept else edited(body, drop=("system",))


def _is_attribution(block: msgspec.Raw) -> bool:
    try:
        return msgspec.json.decode(block, type=_Block).text.startswith(ATTRIBUTION_PREFIX)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
