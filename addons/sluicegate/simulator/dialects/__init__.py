"""The wire formats in which a provider may be asked for a message, each told by method and path."""

from __future__ import annotations

from typing import Final

from .. import wire
from .base import Dialect
from .bedrock import Bedrock
from .chat import ChatCompletions
from .messages import Messages
from .vertex import Vertex

__all__ = ["MESSAGES", "Dialect", "dialect_of"]

MESSAGES: Final[Dialect] = Messages()
_ALL: Final[tuple[Dialect, ...]] = (MESSAGES, ChatCompletions(), Bedrock(), Vertex())


def dialect_of(request: wire.Request) -> Dialect | None:
    """The wire format of a request for a message or a count; None for any other request."""
    if request.method != "POST":
        return None
    return next((dialect for dialect in _ALL if dialect.takes(request)), None)
