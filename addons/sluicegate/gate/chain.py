"""Chain: the only mitmproxy addon. Requests descend through the stages, answers and ends unwind them in reverse.

    requestheaders   open the Exchange, take the client's credentials off the flow, let stages read the headers
    request          the descent; its last act is the Release, without which nothing is sent (proxy/layer.py)
    responseheaders  stages add their taps, innermost first
    response, error  the end: completed stages settle, once

mitmproxy continues when a hook raises, so no hook here raises. A hook that fails leaves the exchange without a release.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from mitmproxy import connection, ctx, http, tls
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy import layer, server_hooks

from sluicegate.admin.router import AdminRouter
from sluicegate.admin.stage import OwnEndpoints
from sluicegate.core.addresses import MAGIC_HOST, canonical_host
from sluicegate.core.errors import Refused, describe
from sluicegate.core.wire.header_fields import HeaderFields
from sluicegate.exchange import cors
from sluicegate.exchange.bodies import KeptBody
from sluicegate.exchange.credentials import take_credentials
from sluicegate.exchange.ending import Outcome
from sluicegate.exchange.exchange import (
    Exchange,
    attach,
    exchange_of,
)
from sluicegate.exchange.framing import add_gateway_headers, set_framing
from sluicegate.exchange.native_errors import native_response
from sluicegate.gate import doors
from sluicegate.gate.entry import open_exchange
from sluicegate.gate.onion import Onion
from sluicegate.gate.outcomes import outcome_of, outcome_without_client
from sluicegate.gate.policy import Policy
from sluicegate.gate.port import ChainPort
from sluicegate.gate.reload import Reloader
from sluicegate.gate.retry_decision import decide, show_update
from sluicegate.gate.shutdown import STOPPING, Drain
from sluicegate.proxy.connections.outbound import Outbound
from sluicegate.proxy.error_texts import readable
from sluicegate.proxy.fast.dispatch import adopt_dispatch
from sluicegate.proxy.hooks import FailedAttempt, Retry
from sluicegate.proxy.playback import adopt_playback
from sluicegate.proxy.pull import wait_for_body
from sluicegate.services.services import Services
from sluicegate.services.telemetry.log import log
from sluicegate.stages import ORDER, Identity
from sluicegate.stages.base import Stage

__all__ = ["Chain"]


_BEFORE_END_S: Final = 2.0
"""How long the end of an answer waits, at most."""
_LOOK_S: Final = 0.1
"""Seconds between checks of an intercepted request."""


class Chain:
    """Runs the stages around every exchange, on every door (listener)."""

    name = "sluicegate"

    def __init__(self, services: Services | None = None) -> None:
        self.services = services or Services()
        self.stages: tuple[type[Stage], ...] = ()
        self.onion = Onion(self.services)
        self.policy: Policy | None = None
        self.outbound = Outbound(lambda: self.policy, self.services.proxies, self.services.alarm)
        self.services.stats.connections = self.outbound.snapshot
        self.port = ChainPort(self.services, self.outbound, self.error)
        self.reloader = Reloader(self.services, lambda: self.stages, self._enforce)
        self.admin = AdminRouter(self.services, lambda: self.reloader.path, lambda: ctx.options.mode)
        self.own_endpoints = OwnEndpoints(self.admin, self.services)
        self.drain = Drain(
            self.services, lambda: self.under_way, lambda: self.policy.settings.timeouts.drain_s if self.policy else 0.0
        )
        self._tunnels: dict[str, bytes] = {}
        """The hash of the key that opened a tunnel, or b"", by client connection."""
        self._open: dict[str, dict[str, Exchange]] = {}
        """Exchanges in progress, by client connection; this ends those whose hooks mitmproxy never calls."""

    def join(self, stages: Sequence[type[Stage]]) -> None:
        """Add stages; they run in ORDER, whatever the order of the arguments."""
        # identity runs beside a single stage, too: its modes mean the same everywhere
        merged = {*self.stages, *stages, Identity}
        unknown = [s for s in merged if s not in ORDER]
        self.stages = (*(s for s in ORDER if s in merged), *unknown) if unknown else tuple(s for s in ORDER if s in merged)
        self.reloader.rebuild()

    def _enforce(self, policy: Policy) -> None:
        self.policy = policy

    # -- mitmproxy's life
    def load(self, loader: Loader) -> None:
        self.reloader.add_options(loader)
        self.drain.install()  # not only in `running`: mitmproxy serves clients before it calls that
        adopt_playback(self.port)
        adopt_dispatch(self.services.environ)

    def configure(self, updated: set[str]) -> None:
        self.reloader.configure(updated)

    def running(self) -> None:
        self.reloader.running()
        self.drain.install()

    @property
    def under_way(self) -> list[Exchange]:
        """The exchanges that have not ended, except those of our own endpoints."""
        return [x for mine in self._open.values() for x in mine.values()]

    @property
    def keeps_bodies(self) -> bool:
        """Whether flows can be viewed: in mitmweb, in mitmproxy's console or in a saved file."""
        return "view" in ctx.master.addons.lookup or bool(ctx.options.save_stream_file)

    async def done(self) -> None:
        for x in self.under_way:  # the addons that record flows run after us
            self._finish(x, "failed", "the gate shut down")
        await self.reloader.done()
        await self.services.finish()
        self.services.close()

    # -- connections
    def client_connected(self, client: connection.Client) -> None:
        if rejection := doors.reject_remote_client(client, self.policy):
            client.error = f"sluicegate: {rejection.why}; {rejection.instead}"  # mitmproxy closes it
            log.warning("client.refused", peer=str(client.peername), why=rejection.why)
        elif self.policy:
            doors.allow_connections(client, self.policy.settings.connections.max or self.outbound.default_max)

    def client_disconnected(self, client: connection.Client) -> Coroutine[Any, Any, None] | None:
        self._tunnels.pop(client.id, None)
        orphans = []
        for x in tuple(self._open.get(client.id, {}).values()):
            if x.door == "replay":
                continue  # its flow still names the first client, which may leave while the replay goes on
            if x.life.detached:
                orphans.append(x)
            else:
                self._finish(x, outcome_without_client(x), "the client disconnected")
        return self._until_closed(orphans) if orphans else None

    async def _until_closed(self, orphans: list[Exchange]) -> None:
        """Other clients follow these calls; mitmproxy closes the server connections as soon as this hook returns."""
        for x in orphans:
            with contextlib.suppress(Exception):
                await x.life.until_closed()

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        if not doors.opens_tls(data, self.policy):
            data.ignore_connection = True

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        doors.next_layer(nextlayer, self.policy, self.port)

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> Coroutine[Any, Any, None] | None:
        return self.outbound.connect(data)

    def server_connected(self, data: server_hooks.ServerConnectionHookData) -> None:
        self.outbound.connected(data)

    def server_connect_error(self, data: server_hooks.ServerConnectionHookData) -> None:
        self.outbound.failed(data)

    async def server_disconnected(self, data: server_hooks.ServerConnectionHookData) -> None:
        await self.outbound.disconnected(data)

    def tls_established_server(self, data: tls.TlsData) -> None:
        self.outbound.tls_done(data)

    def tls_failed_server(self, data: tls.TlsData) -> None:
        self.outbound.tls_done(data)

    async def http_connect(self, flow: http.HTTPFlow) -> None:
        try:
            presented = take_credentials(flow.request.headers)
            if self.policy and self.policy.identity:
                self.policy.identity.strip_gateway_secrets(flow.request)
            self._tunnels[flow.client_conn.id] = await doors.let_through(flow, self.policy, presented)
        except Refused as e:
            flow.response = native_response(e.status, e.message, kind=e.kind, fields=e.headers())
            log.warning("tunnel.refused", peer=str(flow.client_conn.peername), host=flow.request.host, status=e.status)
        except BaseException as e:  # noqa: BLE001
            self.services.alarm("chain.http_connect", error=describe(e))
            flow.response = native_response(500, "internal error in the gate; the request was not sent")

    def http_connect_upstream(self, flow: http.HTTPFlow) -> None:
        if auth := self.services.via_auth(flow.server_conn.address):
            flow.request.headers["proxy-authorization"] = auth.decode()

    # -- the request
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        attach(flow, None)  # a replay reuses the flow: its previous exchange must not count
        try:
            presented = take_credentials(flow.request.headers)
            if self.policy is None:
                flow.response = native_response(503, doors.NO_POLICY, kind="api_error")
                return
            x = self._enter(flow, self.policy, presented)
        except BaseException as e:  # noqa: BLE001 - no exchange, no release: nothing leaves
            self.services.alarm("chain.requestheaders", error=describe(e))
            flow.response = native_response(500, "internal error in the gate; the request was not sent")
            return
        if x.is_admin_endpoint or x.answer is not None:
            return
        self.onion.heads(x)
        if self.services.draining and x.answer is None:
            h1 = flow.client_conn.alpn != b"h2"
            self.onion.refuse(x, Refused(503, STOPPING, kind="overloaded_error", should_retry=True, close=h1))

    def _enter(self, flow: http.HTTPFlow, policy: Policy, credentials: HeaderFields) -> Exchange:
        x = open_exchange(flow, policy, credentials)
        on_our_host = x.door != "replay" and canonical_host(x.origin[1]) == MAGIC_HOST
        x.is_admin_endpoint = on_our_host or (
            x.door == "reverse" and self.admin.owns(flow.request.method, flow.request.path, policy)
        )
        x.tunnel_key_hash = self._tunnels.get(flow.client_conn.id)
        flow.metadata.pop("sluicegate", None)  # a replayed flow has the summary of its last run
        self.onion.enter(x, policy, self.own_endpoints if x.is_admin_endpoint else None)
        attach(flow, x)
        if not x.is_admin_endpoint:
            self._open.setdefault(flow.client_conn.id, {})[x.id] = x
            self.services.stats.active += 1
        return x

    def request(self, flow: http.HTTPFlow) -> Coroutine[Any, Any, None] | None:
        x = exchange_of(flow)
        if x is None or x.life.closed:
            if flow.response is None:  # the seal would stop it as well; this error is clearer
                flow.response = native_response(500, "the request bypassed the gate's checks and was not sent")
            return None
        return self._descend_when_resumed(x) if flow.intercepted else self._descend(x)

    def _descend(self, x: Exchange) -> Coroutine[Any, Any, None] | None:
        try:
            if x.answer is None and x.flow.response is not None:
                return None  # another addon answered
            return self.onion.descend(x)
        except BaseException as e:  # noqa: BLE001
            self.onion.bug(x, "chain", e)
            return None

    async def _descend_when_resumed(self, x: Exchange) -> None:
        """A user edits the request in mitmproxy's interface: the stages see the edited one."""
        try:
            # not flow.wait_for_resume(): a kill does not end that one, and the client would hang
            while x.flow.intercepted and not x.life.gone:
                await x.life.wait_for(asyncio.sleep(_LOOK_S))
            x.edited = True
            if not x.life.gone and x.flow.live and (rest := self._descend(x)):
                await rest
        except BaseException as e:  # noqa: BLE001 - a CancelledError that escapes here would hang the client for ever
            self.onion.bug(x, "chain", e)

    # -- the answer
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        x = exchange_of(flow)
        if x is None or x.life.closed or flow.response is None:
            return
        try:
            self._answer(x, flow.response)
        except BaseException as e:  # noqa: BLE001
            self.services.alarm("chain.responseheaders", exchange=x.id, error=describe(e))
            x.ending.withhold("internal", "internal error in the gate")

    def _answer(self, x: Exchange, response: http.Response) -> None:
        x.first_byte = time.monotonic()
        x.status = response.status_code
        cors.add_cors_headers(x, response)
        if x.is_admin_endpoint:
            return
        if response.status_code == 101:
            if not (x.routing.release and x.routing.release.upgrade):
                x.ending.withhold("failed", "the upstream switched protocols without a request to do so")
            return
        if self.keeps_bodies and not x.kept_body and (x.answer is None or x.source):
            x.kept_body = KeptBody()
            x.taps.observe(x.kept_body.add, name="kept body", on_error="skip")
        if not self.onion.answer(x):
            return
        if x.answer is None or x.source:
            set_framing(x, response)
        add_gateway_headers(x, response)

    async def sluicegate_failed(self, attempt: FailedAttempt) -> None:
        """An attempt failed: decide, and wait until the decision's time has come."""
        x = exchange_of(attempt.flow)
        if x is None:
            return
        x.routing.gave_up, x.routing.release = True, None
        try:
            attempt.decision = await decide(x, attempt.failure, self.services)
            x.routing.gave_up = not isinstance(attempt.decision, Retry)
        except BaseException as e:  # noqa: BLE001 - no release: the attempt stays failed
            self.services.alarm("chain.failed", exchange=x.id, error=describe(e))
        await show_update(attempt.flow)

    async def sluicegate_turn(self, flow: http.HTTPFlow) -> None:
        """Wait before the first attempt, as its target is cooling down."""
        x = exchange_of(flow)
        if x is not None and x.routing.attempts is not None:
            with contextlib.suppress(Exception):
                await x.life.sleep(x.routing.attempts.delay_s)

    async def sluicegate_pull(self, flow: http.HTTPFlow) -> None:
        """Pull the next bytes of a body that arrives over time, once the client's buffers have drained."""
        x = exchange_of(flow)
        if x is None or x.source is None:
            return
        try:
            await wait_for_body(x, x.source)
        except BaseException as e:  # noqa: BLE001
            x.source.close(type(e).__name__)

    async def sluicegate_end(self, flow: http.HTTPFlow) -> None:
        """The end of an answer is about to be sent: finish what must come before it, within a bound."""
        x = exchange_of(flow)
        if x is None or x.life.ending is None:
            return
        waiting, x.life.ending = x.life.ending, None
        try:
            await x.life.wait_for(waiting, _BEFORE_END_S)
        except BaseException as e:  # noqa: BLE001 - a CancelledError that escapes here would hang the client
            self.services.alarm("chain.end", exchange=x.id, error=describe(e))

    # -- the end
    def response(self, flow: http.HTTPFlow) -> None:
        x = exchange_of(flow)
        if x is None:
            return
        x.answered_whole = True
        self._finish(x, "client_abort" if x.life.detached else outcome_of(x), None)

    def error(self, flow: http.HTTPFlow) -> None:
        x = exchange_of(flow)
        if x is None:
            return
        message = readable(flow.error.msg) if flow.error else ""
        outcome: Outcome
        if x.ending.outcome == "denied":
            outcome = "denied"
            self.services.alarm("seal.denied", exchange=x.id, door=x.door, why=message)
        elif x.life.gone:
            outcome = outcome_without_client(x)
        else:
            outcome = "truncated" if x.status is not None else "failed"
        if x.status is None and not x.life.gone:
            x.status, x.ending.is_own = x.format.shown_status(x.ending.status_of(502)), True
        self._finish(x, outcome, message)

    def _finish(self, x: Exchange, outcome: Outcome, error: str | None) -> None:
        """Settle the stages that completed, in reverse, exactly once; then drop every reference to a secret."""
        if x.life.closed:
            return
        x.life.close()
        x.ending.settle(outcome, None if outcome == "ok" else error)
        if not x.is_admin_endpoint:
            self._forget(x)
        for name, e in x.taps.set_aside:
            self.services.alarm("tap.aside", tap=name, exchange=x.id, error=describe(e))
        if x.taps.broken:
            self.services.alarm("tap.bug", tap=x.taps.broken[0], exchange=x.id, error=describe(x.taps.broken[1]))
        self.onion.settle(x)
        if x.kept_body and x.flow.response is not None:
            x.flow.response.data.content = x.kept_body.body
        x.flow.metadata["sluicegate"] = {**x.summary(), **x.flow.metadata.get("sluicegate", {})}
        x.client_credentials, x.routing.attempts = (), None
        if x.status != 101:
            x.routing.release = None
            x.routing.target = None
        x.slots.clear()
        if outcome in ("ok", "upstream_error", "error_in_answer") and x.status != 101 and x.source is None:
            attach(x.flow, None)

    def _forget(self, x: Exchange) -> None:
        self.services.stats.active -= 1
        client_id = x.flow.client_conn.id
        if mine := self._open.get(client_id):
            mine.pop(x.id, None)
            if not mine:
                del self._open[client_id]

    def websocket_end(self, flow: http.HTTPFlow) -> None:
        attach(flow, None)
