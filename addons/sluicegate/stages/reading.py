"""Reading: the first stage of every request. It reads what the later ones go by: format, session, agent."""

from __future__ import annotations

from typing import ClassVar

from sluicegate.core.errors import Refused
from sluicegate.core.formats.surfaces import format_at, is_inference_path
from sluicegate.core.messages.facts import agent_of, session_of
from sluicegate.exchange.credentials import take_credentials
from sluicegate.exchange.exchange import Exchange
from sluicegate.stages.base import Stage

__all__ = ["Reading", "take_edited_credentials"]


class Reading(Stage):
    name: ClassVar[str] = "reading"

    def request(self, x: Exchange) -> None:
        """Another addon, or a user, may have changed the request since its headers arrived."""
        take_edited_credentials(x)
        d = x.request.data
        path = d.path.decode("ascii", "replace")
        x.format = format_at(d.method.decode("ascii", "replace"), path)
        if x.websocket:
            _check_upgrade(x, path)
        x.session_id = session_of(d.headers, x.facts)
        x.agent_id = agent_of(d.headers)


def take_edited_credentials(x: Exchange) -> None:
    """A user who edited the request may have added credentials."""
    if x.edited:
        x.client_credentials = (*x.client_credentials, *take_credentials(x.request.headers))


def _check_upgrade(x: Exchange, path: str) -> None:
    """Raises Refused for a WebSocket that is not relayed; an upgrade to anything else goes on as plain HTTP."""
    if x.request.headers.get("upgrade", "").lower() != "websocket":
        x.websocket = False
    elif is_inference_path(path):
        raise Refused(426, "WebSockets are not relayed on inference paths", kind="invalid_request_error")
    elif not x.policy.relays_websockets:
        message = "WebSockets are not relayed while a stage must read the traffic"
        raise Refused(403, message, kind="invalid_request_error")
