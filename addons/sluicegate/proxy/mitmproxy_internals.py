"""What Sluicegate relies on in mitmproxy and h11 beyond their documented surface. Nothing else names it.

RELIED_ON        the list: what, what for, and which of our files break without it
private names    imported here, used from here
functions        look-ups in the running master and in its connection handlers

A new version of mitmproxy: tests/proxy/test_mitmproxy_surface.py compares each entry with what is installed. Methods that
our subclasses override are not listed; the same test compares their parameters with the stock method's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from mitmproxy import ctx
from mitmproxy.connection import Connection
from mitmproxy.net.http.http1.read import _read_headers as read_header_fields
from mitmproxy.net.http.http1.read import _read_request_line as read_request_line
from mitmproxy.proxy import events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._http1 import make_body_reader
from mitmproxy.proxy.layers.http._http2 import Http2Client, Http2Connection

__all__ = [
    "CLIENT_HOST",
    "HOOK_BEGUN",
    "RELIED_ON",
    "ChunkedReader",
    "Http2Client",
    "Http2Connection",
    "ReceiveBuffer",
    "Reliance",
    "abort",
    "call_last",
    "cancel",
    "choose_next_layer",
    "drop_lost",
    "fork",
    "handler_of",
    "handlers",
    "is_running",
    "is_served",
    "limit_connections",
    "listeners",
    "make_body_reader",
    "mark_used",
    "option_default",
    "read_header_fields",
    "read_request_line",
    "shut_ports",
    "transport_of",
    "unread",
]


@dataclass(frozen=True, slots=True)
class Reliance:
    """One name that may change in any release."""

    what: str
    """`module:Class.attribute`."""
    why: str
    users: tuple[str, ...]
    """Our files, below addons/sluicegate."""
    parameters: str | None = None
    """Of a function or method: their names."""


_CORE: Final = "mitmproxy.proxy.layers.http:"
_STREAM: Final = f"{_CORE}HttpStream."
_LAYER: Final = f"{_CORE}HttpLayer."
_H1: Final = "mitmproxy.proxy.layers.http._http1:"
_H2: Final = "mitmproxy.proxy.layers.http._http2:"
_HANDLER: Final = "mitmproxy.proxy.server:ConnectionHandler."
_IO: Final = "mitmproxy.proxy.server:ConnectionIO."
_PORTS: Final = "mitmproxy.addons.proxyserver:Proxyserver."
_PLAYBACK: Final = "mitmproxy.addons.clientplayback:"
_ADDONS: Final = "mitmproxy.addonmanager:"
_OPTIONS: Final = "mitmproxy.optmanager:"
_READ: Final = "mitmproxy.net.http.http1.read:"
_HERE: Final = "proxy/mitmproxy_internals.py"

RELIED_ON: Final = (
    # instances whose class is replaced by a subclass of ours, in place
    Reliance(f"{_CORE}HttpLayer", "GateLayer: the seal", ("proxy/layer.py",)),
    Reliance(f"{_CORE}Http1Client", "GateHttp1Client: interim answers, trailers", ("proxy/wire/http1_client.py",)),
    Reliance(f"{_H2}Http2Client", "GateHttp2Client: GOAWAY, refused streams", ("proxy/wire/http2_client.py",)),
    Reliance("h11._readers:ChunkedReader", "a bound between two chunks, no trailers", ("proxy/wire/http1_client.py",)),
    Reliance(f"{_PLAYBACK}ClientPlayback", "GatePlayback: replays pass the seal", ("proxy/playback.py",)),
    Reliance(f"{_ADDONS}AddonManager", "CachedAddonManager: hooks are looked up once", ("proxy/fast/dispatch.py",)),
    Reliance("mitmproxy.options:Options", "PlainOptions: plain values are not copied", ("proxy/fast/dispatch.py",)),
    # private names
    Reliance(f"{_H1}make_body_reader", "a request's body", ("proxy/wire/http1_server.py",), "expected_size"),
    Reliance(f"{_H2}Http2Connection", "telling an idle connection", ("proxy/connections/pool.py",)),
    Reliance(f"{_READ}_read_request_line", "request heads, read once", ("proxy/wire/request_head.py",), "line"),
    Reliance(f"{_READ}_read_headers", "request heads, read once", ("proxy/wire/request_head.py",), "lines"),
    Reliance("h11._receivebuffer:ReceiveBuffer._data", "looked at without a copy", ("proxy/wire/http1_client.py",)),
    Reliance(f"{_OPTIONS}_Option._default", "an option's value without a copy", ("proxy/fast/dispatch.py",)),
    Reliance(f"{_OPTIONS}_Option.value", "an option's value without a copy", ("proxy/fast/dispatch.py",)),
    Reliance(f"{_OPTIONS}unset", "an option's value without a copy", ("proxy/fast/dispatch.py",)),
    Reliance(f"{_OPTIONS}OptManager._options", "an option's value without a copy", ("proxy/fast/dispatch.py",)),
    Reliance(f"{_ADDONS}AddonManager._iter_hooks", "an addon's hooks", ("proxy/fast/dispatch.py",), "self addon event"),
    Reliance(f"{_ADDONS}AddonManager.chain", "the order that hooks are called in", (_HERE, "proxy/fast/dispatch.py")),
    Reliance(f"{_ADDONS}safecall", "exceptions of addons", ("proxy/fast/dispatch.py",), ""),
    # the state of a stream, and what is called on it
    Reliance(f"{_STREAM}client_state", "the state machine", ("proxy/stream.py", "proxy/retrying.py")),
    Reliance(f"{_STREAM}server_state", "the state machine", ("proxy/stream.py", "proxy/retrying.py")),
    Reliance(f"{_STREAM}state_done", "the state machine", ("proxy/stream.py", "proxy/retrying.py"), "self _"),
    Reliance(f"{_STREAM}state_errored", "the state machine", ("proxy/stream.py", "proxy/retrying.py"), "self _"),
    Reliance(f"{_STREAM}state_consume_response_body", "what was held back", ("proxy/retrying.py",), "self event"),
    Reliance(f"{_STREAM}request_body_buf", "a request is collected whole", ("proxy/stream.py",)),
    Reliance(f"{_STREAM}response_body_buf", "what is held back of an answer", ("proxy/retrying.py",)),
    Reliance(
        f"{_STREAM}check_killed",
        "a flow killed in a hook",
        ("proxy/stream.py", "proxy/retrying.py"),
        "self emit_error_hook",
    ),
    Reliance(f"{_STREAM}handle_connect_upstream", "tunnels through a proxy", ("proxy/stream.py",), "self"),
    Reliance(f"{_LAYER}streams", "one more stream id per attempt", ("proxy/layer.py", "proxy/retrying.py")),
    Reliance(f"{_LAYER}connections", "connections of a client", ("proxy/layer.py", "proxy/stream.py", "proxy/playback.py")),
    Reliance(f"{_LAYER}command_sources", "replies find their stream", ("proxy/layer.py", "proxy/timer.py")),
    Reliance(f"{_LAYER}waiting_for_establishment", "connections being opened", ("proxy/layer.py", "proxy/stream.py")),
    Reliance(f"{_LAYER}mode", "absolute request targets", ("proxy/layer.py",)),
    Reliance(f"{_CORE}GetHttpConnection.connection_spec_matches", "reuse", ("proxy/layer.py",), "self connection"),
    Reliance(f"{_H1}Http1Client.read_headers", "adopted before the first byte", ("proxy/wire/http1_client.py",)),
    Reliance(
        f"{_H1}Http1Connection.buf",
        "what came and was not read",
        ("proxy/wire/http1_client.py", "proxy/wire/http1_server.py"),
    ),
    Reliance(f"{_H1}Http1Connection.stream_id", "None: idle", ("proxy/connections/pool.py", "proxy/wire/http1_client.py")),
    Reliance(
        f"{_H1}Http1Connection.body_reader",
        "how a body is read",
        ("proxy/wire/http1_client.py", "proxy/wire/http1_server.py"),
    ),
    Reliance(
        f"{_H1}Http1Connection.done", "nothing more is read", ("proxy/wire/http1_client.py", "proxy/wire/http1_server.py")
    ),
    Reliance(f"{_H2}Http2Connection.streams", "empty: idle", ("proxy/connections/pool.py", "proxy/wire/http2_client.py")),
    Reliance(f"{_H2}Http2Connection.h2_conn", "streams that are reset", ("proxy/wire/http2_client.py",)),
    Reliance(
        f"{_H2}Http2Connection.is_closed", "streams that are reset", ("proxy/wire/http2_client.py",), "self stream_id"
    ),
    Reliance(f"{_H2}Http2Client.stream_queue", "requests that wait for a stream", ("proxy/wire/http2_client.py",)),
    Reliance(f"{_H2}Http2Client.their_stream_id", "whose request a stream is", ("proxy/wire/http2_client.py",)),
    # the running proxy
    Reliance(f"{_PORTS}connections", "the handler of a client's connection", (_HERE, "proxy/playback.py")),
    Reliance(
        f"{_PORTS}servers",
        "the ports: shown, and closed at the end",
        ("gate/shutdown.py", "gate/instance_file.py", "cli/banner.py"),
    ),
    Reliance("mitmproxy.addons.tlsconfig:TlsConfig.certstore", "the CA in use", (_HERE,)),
    Reliance("mitmproxy.addons.tlsconfig:TlsConfig.configure", "the CA is read again", (_HERE,), "self updated"),
    Reliance(f"{_PORTS}is_running", "a gate installed late", ("gate/install.py",)),
    Reliance("mitmproxy.addons.proxyserver:Servers.update", "ports are closed", ("gate/shutdown.py",), "self modes"),
    Reliance(f"{_HANDLER}transports", "sockets of a connection", (_HERE,)),
    Reliance(f"{_HANDLER}client", "timers find their client", ("proxy/timer.py",)),
    Reliance(f"{_HANDLER}layer", "replays pass the seal", ("proxy/playback.py",)),
    Reliance(f"{_HANDLER}max_conns", "more than five connections", ("gate/doors.py",)),
    Reliance(
        f"{_HANDLER}server_event", "timers, lost closes", ("proxy/timer.py", "proxy/connections/timeouts.py"), "self event"
    ),
    Reliance(f"{_HANDLER}drain_writers", "bodies over time wait for the client", ("proxy/pull.py",), "self"),
    Reliance(f"{_IO}handler", "connections are cancelled", (_HERE,)),
    Reliance(f"{_IO}writer", "what was not sent yet; aborts", (_HERE,)),
    Reliance("mitmproxy.addons.next_layer:NextLayer.next_layer", "stock's choice", ("proxy/layer.py",), "self nextlayer"),
    Reliance(f"{_PLAYBACK}ReplayHandler.replay", "replays pass the seal", ("proxy/playback.py",), "self"),
    Reliance(f"{_PLAYBACK}ClientPlayback.playback_task", "a replay that runs already", ("proxy/playback.py",)),
    Reliance(f"{_PLAYBACK}ClientPlayback.replay_tasks", "replays side by side", ("proxy/playback.py",)),
    Reliance(f"{_PLAYBACK}ClientPlayback.inflight", "the replay under way", ("proxy/playback.py",)),
    Reliance("mitmproxy.proxy.context:Context.layers", "a fork without a new server", (_HERE, "proxy/timer.py")),
    Reliance("mitmproxy.master:Master.shutdown", "the end waits for calls", ("gate/shutdown.py",), "self"),
    Reliance("mitmproxy.tools.main:run", "sluicegate run", ("cli/run.py",), "master_cls make_parser arguments extra"),
    Reliance("mitmproxy.tools.dump:DumpMaster.__init__", "sluicegate run", ("cli/run.py",)),
)


# -- the running master
def choose_next_layer(nextlayer: layer.NextLayer) -> None:
    """Let mitmproxy's own addon choose."""
    ctx.master.addons.get("nextlayer").next_layer(nextlayer)


def listeners() -> Iterable[Any]:
    """mitmproxy's servers: `mode` and `listen_addrs` of each."""
    servers: Iterable[Any] = ctx.master.addons.get("proxyserver").servers
    return servers


def is_running() -> bool:
    """Whether mitmproxy listens already."""
    return bool(ctx.master.addons.get("proxyserver").is_running)


def ca_in_use() -> str:
    """The certificate of the CA that signs for the regular door, as PEM."""
    pem: bytes = ctx.master.addons.get("tlsconfig").certstore.default_ca.to_pem()
    return pem.decode()


def read_ca_again() -> None:
    """Take the CA of the configuration folder as it is now."""
    ctx.master.addons.get("tlsconfig").configure({"confdir"})


async def shut_ports() -> None:
    """Accept no more connections; those that are open stay."""
    await ctx.master.addons.get("proxyserver").servers.update([])


def call_last(*names: str) -> None:
    """Call these addons' hooks after those of all others; names of addons that are not there do nothing."""
    addons = ctx.master.addons
    for addon in filter(None, map(addons.get, names)):
        addons.chain.remove(addon)
        addons.chain.append(addon)


def option_default(option: Any) -> Any:
    """The value of an option that is not set; not a copy."""
    return option._default


# -- connection handlers: what serves one client and its connections to servers
def handlers() -> dict[Any, Any]:
    """The handlers by their client's id."""
    found: dict[Any, Any] = ctx.master.addons.get("proxyserver").connections
    return found


def handler_of(client_id: str) -> Any:
    """The handler of a client's connection, or None."""
    return handlers().get(client_id)


def _io_of(client_id: str, server: Connection) -> Any:
    handler = handler_of(client_id)
    return handler.transports.get(server) if handler else None


def is_served(client_id: str, server: Connection) -> bool:
    """Whether a task opens a connection, or reads from it."""
    io = _io_of(client_id, server)
    return io is not None and io.handler is not None


def transport_of(client_id: str, server: Connection) -> Any:
    """The asyncio transport of a connection, or None."""
    io = _io_of(client_id, server)
    return io.writer.transport if io and io.writer else None


def abort(client_id: str, server: Connection) -> None:
    """End a connection now; bytes that were not sent yet are lost."""
    if transport := transport_of(client_id, server):
        transport.abort()


def cancel(client_id: str, server: Connection, why: str) -> bool:
    """End a connection, or the attempt to open it, from outside its layers. False: there is none to end."""
    if not is_served(client_id, server):
        return False
    _io_of(client_id, server).handler.cancel(why)
    return True


async def drop_lost(client_id: str, server: Connection) -> None:
    """Tell the layers of a connection that it has ended, if the core has missed that (mitmproxy#5034)."""
    if handler := handler_of(client_id):
        io = handler.transports.pop(server, None)
        if io and io.writer:
            io.writer.close()
        await handler.server_event(events.ConnectionClosed(server))


def limit_connections(client_id: str, make_semaphore: Any) -> None:
    """Another bound than mitmproxy's five for a client's connections to one address."""
    if handler := handler_of(client_id):
        handler.max_conns.default_factory = make_semaphore


# -- what we hang on mitmproxy's objects
CLIENT_HOST: Final = "sluicegate_client_host"
"""Attribute of a request: the Host that the client asked for. mitmproxy rewrites the header in reverse mode."""
HOOK_BEGUN: Final = "_sluicegate_begun"
"""Attribute of a hook: it was begun inline, and this is the rest of it (fast/dispatch.py)."""
_USED: Final = "sluicegate_used"
"""Attribute of a server connection: it has carried a request. (A flow has its Exchange: exchange/exchange.py.)"""


def mark_used(server: Connection) -> bool:
    """Note that a request is about to be sent over a connection. Returns whether one was sent before."""
    before = bool(server.__dict__.get(_USED))
    server.__dict__[_USED] = True
    return before


# -- layers
def unread(buffer: ReceiveBuffer) -> bytearray:
    """The bytes of a buffer themselves: to be looked at, not changed."""
    return buffer._data


def fork(context: Context) -> Context:
    """Stock's `Context.fork` makes a server with an id for each, and throws it away."""
    forked = Context.__new__(Context)
    forked.__dict__.update(context.__dict__)
    forked.layers = context.layers.copy()
    return forked
