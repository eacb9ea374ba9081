"""Descent: what happens to a request once it is complete, up to a release or an answer of the gate's own.

intercepted   a user edits it: wait until the user resumes it
own endpoint  an admin page answers
WebSocket     refused if a stage must read what passes
else          through the stages (onion.py), to a release
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, Final

from sluicegate.admin.responses import Answer
from sluicegate.admin.router import AdminRouter
from sluicegate.core.errors import Refused
from sluicegate.core.routing.paths import is_inference_path
from sluicegate.exchange.exchange import Exchange
from sluicegate.gate.onion import Onion
from sluicegate.gate.policy import policy_of
from sluicegate.proxy.seal import take_credentials

__all__ = ["Descent"]

_LOOK_S: Final = 0.1
"""Seconds between checks of an intercepted request."""


class Descent:
    """Nothing raised in here gets out: what goes wrong becomes the exchange's answer."""

    def __init__(self, onion: Onion, admin: AdminRouter) -> None:
        self.onion = onion
        self.admin = admin

    def begin(self, x: Exchange) -> Coroutine[Any, Any, None] | None:
        """Bring a complete request to its release or its answer; a coroutine for the rest if something waits."""
        try:
            return self._begin(x)
        except BaseException as e:  # noqa: BLE001
            self.onion.fail(x, "chain", e)
            return None

    async def begin_when_resumed(self, x: Exchange) -> None:
        """A user edits the request in the user interface: the stages see the edited one."""
        try:
            # not flow.wait_for_resume(): a kill does not end that one, and the client would hang
            while x.flow.intercepted and not x.life.gone:
                await x.life.wait_for(asyncio.sleep(_LOOK_S))
            if x.life.gone or not x.flow.live:
                return
            x.client_credentials = (*x.client_credentials, *take_credentials(x.request.headers))
            if rest := self._begin(x):
                await rest
        except BaseException as e:  # noqa: BLE001 - a CancelledError that escapes here would hang the client for ever
            self.onion.fail(x, "chain", e)

    def _begin(self, x: Exchange) -> Coroutine[Any, Any, None] | None:
        if x.answer is None:
            if x.flow.response is not None:
                return None  # another addon answered
            if x.is_admin_endpoint:
                return self._serve(x)
            x.read_request()
            if x.websocket:
                _check_upgrade(x)
        return self.onion.descend(x)

    def _serve(self, x: Exchange) -> Coroutine[Any, Any, None] | None:
        """One of the gate's own endpoints."""
        policy = policy_of(x)
        try:
            answer = self.admin.answer(x, policy)
        finally:
            if policy.identity:
                policy.identity.strip_gateway_secrets(x.request)
        if isinstance(answer, tuple):
            x.flow.response, x.source = answer
            return None
        return self._serve_later(x, answer)

    async def _serve_later(self, x: Exchange, answer: Awaitable[Answer]) -> None:
        try:
            x.flow.response, x.source = await answer
        except BaseException as e:  # noqa: BLE001 - one that escapes here would hang the client
            self.onion.fail(x, "endpoints", e)


def _check_upgrade(x: Exchange) -> None:
    """An upgrade to something other than WebSocket is not passed on: the request goes as plain HTTP. Raises Refused."""
    if x.request.headers.get("upgrade", "").lower() != "websocket":
        x.websocket = False
    elif is_inference_path(x.request.path):
        raise Refused(426, "WebSockets are not relayed on inference paths", kind="invalid_request_error")
    elif not x.policy.relays_websockets:
        message = "WebSockets are not relayed while a stage must read the traffic"
        raise Refused(403, message, kind="invalid_request_error")
