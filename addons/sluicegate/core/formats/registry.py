"""The client formats, one line each."""

from __future__ import annotations

from typing import Final

from sluicegate.core.formats.bedrock.format import BEDROCK, BEDROCK_COUNT
from sluicegate.core.formats.chat.format import CHAT
from sluicegate.core.formats.client_format import ClientFormat
from sluicegate.core.formats.messages.format import COUNT_TOKENS, MESSAGES
from sluicegate.core.formats.no_conversation import MODELS, OTHER
from sluicegate.core.formats.vertex.format import VERTEX, VERTEX_COUNT

__all__ = ["ALL", "FORMATS", "format_of", "served"]

FORMATS: Final = (
    MESSAGES,
    COUNT_TOKENS,
    CHAT,
    BEDROCK,
    BEDROCK_COUNT,
    VERTEX,
    VERTEX_COUNT,
)
"""The formats whose requests hold a conversation."""

ALL: Final = (*FORMATS, MODELS, OTHER)

_BY_NAME: Final = {f.name: f for f in ALL}


def format_of(surface: str) -> ClientFormat:
    """The format with this name; OTHER for a name that only a later version knows (a stored record may have one)."""
    return _BY_NAME.get(surface, OTHER)


def served() -> str:
    """What the gate serves, for a client that asked for something else."""
    *first, last = (f.served_as for f in FORMATS if f.served_as)
    return f"{', '.join(first)} and {last}"
