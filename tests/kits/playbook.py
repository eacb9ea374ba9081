"""A GateLayer without sockets: events in, commands out, hooks answered by a Chain.

book = Playbook(chain)
await book.client(b"POST / HTTP/1.1\\r\\n…")
assert book.to_server == b"POST …"
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from mitmproxy import options
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.proxy import commands, context, events
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.mode_specs import ProxyMode

from sluicegate.gate.chain import Chain
from sluicegate.proxy import mitmproxy_internals as internals
from sluicegate.proxy.hooks import SluicegateFailedHook, SluicegatePullHook
from sluicegate.proxy.layer import GateLayer


class Playbook:
    """One client connection on the reverse door, towards http://api.test."""

    def __init__(self, chain: Chain, *, connect_error: str | None = None) -> None:
        self.chain = chain
        opts = options.Options()
        Proxyserver().load(opts)  # type: ignore[arg-type]
        client = Client(
            peername=("127.0.0.1", 51000),
            sockname=("127.0.0.1", 4000),
            proxy_mode=ProxyMode.parse("reverse:http://api.test@4000"),
            state=ConnectionState.OPEN,
            timestamp_start=1.0,
        )
        self.context = context.Context(client, opts)
        self.context.server.address = ("api.test", 80)
        self.layer = GateLayer(self.context, HTTPMode.transparent, chain.port)
        self.connect_error = connect_error
        self.to_client = b""
        self.sent: dict[Server, bytes] = {}
        self.closed: list[Any] = []
        self.hooks: list[str] = []
        self.flow: Any = None
        self.before_hook: dict[str, Callable[[Any], object]] = {}
        self.on_pull: list[Callable[[Any], object]] = []
        self.trace: list[tuple[str, Any]] = []
        """What went out, in order: see kits/transcript.py."""
        self.handler = SimpleNamespace(client=client, transports={}, server_event=self._event)
        internals.handlers()[client.id] = self.handler  # for timers and sockets
        self._started = False

    @property
    def to_server(self) -> bytes:
        """All that was sent to any server."""
        return b"".join(self.sent.values())

    async def client(self, data: bytes) -> None:
        """The client sends."""
        await self._event(events.DataReceived(self.context.client, data))

    async def client_leaves(self) -> None:
        self.context.client.state = ConnectionState.CLOSED
        await self._event(events.ConnectionClosed(self.context.client))

    async def server(self, data: bytes) -> None:
        """The server that was dialled last sends."""
        await self._event(events.DataReceived(next(reversed(self.sent)), data))

    async def server_leaves(self) -> None:
        server = next(reversed(self.sent))
        server.state = ConnectionState.CLOSED
        await self._event(events.ConnectionClosed(server))

    async def ring(self, of: str) -> None:
        """A stream's timer rings now: `deadlines` or `pings`."""
        timers = {id(s): getattr(s, f"_{of}")._timer for s in self.layer.streams.values() if hasattr(s, f"_{of}")}
        (armed,) = [timer for timer in timers.values() if timer is not None]
        await self._event(events.Wakeup(armed.wake))

    async def _event(self, event: events.Event) -> None:
        if not self._started:
            self._started = True
            await self._event(events.Start())
        queue = self._commands(event)
        while queue:
            reply = await self._act(queue.pop(0))
            if reply is not None:
                queue = [*self._commands(reply), *queue]

    def _commands(self, event: events.Event) -> list[commands.Command]:
        """What the layer does; a connection that it closes is closed at once, as in the real thing."""
        out = []
        for command in self.layer.handle_event(event):
            if type(command) is commands.CloseConnection:
                command.connection.state = ConnectionState.CLOSED
            out.append(command)
        return out

    async def _act(self, command: Any) -> events.Event | None:
        match command:
            case commands.SendData() if command.connection is self.context.client:
                self.to_client += command.data
                self.trace.append(("to client", command.data))
            case commands.SendData():
                self.sent[command.connection] = self.sent.get(command.connection, b"") + command.data
                self.trace.append(("to server", command.data))
            case commands.CloseConnection():
                self.closed.append(command.connection)
                self.trace.append(("close", "client" if command.connection is self.context.client else "server"))
            case commands.OpenConnection():
                host, port = command.connection.address[:2]
                self.trace.append(("dial", f"{host}:{port}"))
                if self.connect_error:
                    command.connection.error = self.connect_error
                    return events.OpenConnectionCompleted(command, self.connect_error)
                command.connection.state = ConnectionState.OPEN
                command.connection.timestamp_start = 1.0
                self.sent[command.connection] = b""
                return events.OpenConnectionCompleted(command, None)
            case commands.StartHook():
                await self._hook(command)
                if command.blocking:
                    return events.HookCompleted(command, None)
            case _:
                pass
        return None

    async def _hook(self, hook: commands.StartHook) -> None:
        self.hooks.append(hook.name)
        if hook.name.startswith("sluicegate_"):
            self.trace.append(("hook", hook.name))
        (arg,) = hook.args()
        self.flow = arg.flow if isinstance(hook, SluicegateFailedHook) else arg
        if fn := self.before_hook.get(hook.name):
            fn(arg)
        if isinstance(hook, SluicegatePullHook):
            self.on_pull.pop(0)(arg)
            return
        method = getattr(self.chain, hook.name, None)
        if method and inspect.isawaitable(waiting := method(arg)):
            await waiting
