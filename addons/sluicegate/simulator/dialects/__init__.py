"""The wire formats of requests for a message, recognised by method and path."""

from __future__ import annotations

from typing import Final

from sluicegate.simulator import wire
from sluicegate.simulator.dialects.base import Dialect
from sluicegate.simulator.dialects.bedrock import Bedrock
from sluicegate.simulator.dialects.chat import ChatCompletions
from sluicegate.simulator.dialects.messages import Messages
from sluicegate.simulator.dialects.vertex import Vertex

__all__ = ["MESSAGES", "Dialect", "dialect_of"]

MESSAGES: Final[Dialect] = Messages()
_ALL: Final[tuple[Dialect, ...]] = (MESSAGES, ChatCompletions(), Bedrock(), Vertex())


def dialect_of(request: wire.Request) -> Dialect | None:
    """The wire format of a request for a message or a count; None for any other request."""
    if request.method != "POST":
        return None
    return next((dialect for dialect in _ALL if dialect.takes(request)), None)
