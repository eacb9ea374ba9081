"""Fakes for tests of stages and of the Chain: flows, exchanges, planted stages, and hook calls as mitmproxy makes them.

with chain_of(planted("a", log), planted("b", log, raises={"request": KeyError()})) as chain:
    flow = make_flow(body={"model": "claude-haiku-4-5"})
    await descend(chain, flow)
    send_answer(chain, flow, [b"{}"])
assert log == ["a.head", …]
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from mitmproxy import flow as mflow
from mitmproxy import http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.addons.save import Save
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons, tflow

from sluicegate.core.formats.registry import format_of
from sluicegate.exchange.exchange import Exchange, exchange_of
from sluicegate.exchange.taps import OnError
from sluicegate.gate.chain import Chain
from sluicegate.gate.policy import Policy
from sluicegate.proxy.mitmproxy_internals import CLIENT_HOST
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.settings.audit import Audit as AuditSettings
from sluicegate.settings.retry import (
    Retry,
)
from sluicegate.stages.base import Stage

__all__ = [
    "MemorySink",
    "chain_of",
    "descend",
    "fail",
    "make_exchange",
    "make_flow",
    "planted",
    "quiet",
    "send_answer",
    "the_exchange",
]

REVERSE = "reverse:https://api.anthropic.com@4000"
HOOKS = ("head", "request", "answer", "settle")


def quiet(**fields: Any) -> Settings:
    """Settings without records and retries."""
    return Settings(**{"audit": AuditSettings(log="off"), "retry": Retry(attempts=1), **fields})


class MemorySink:
    """Keeps its lines, or raises `error` if set."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.error: Exception | None = None

    def write(self, line: bytes) -> None:
        if self.error:
            raise self.error
        self.lines.append(line)

    @property
    def records(self) -> list[dict[str, Any]]:
        """The lines, read as JSON."""
        return [msgspec.json.decode(line) for line in self.lines]


def make_flow(
    method: str = "POST",
    path: str = "/v1/messages",
    body: bytes | Mapping[str, Any] = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
    *,
    mode: str = REVERSE,
    origin: tuple[bool, str, int] = (True, "api.anthropic.com", 443),
    peer: tuple[str, int] = ("127.0.0.1", 51000),
    client_host: str = "localhost:4000",
) -> http.HTTPFlow:
    """A flow as at the call of `requestheaders`, but with its body. A mapping is sent as JSON."""
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    tls, host, port = origin
    flow = tflow.tflow()
    flow.client_conn.proxy_mode = ProxyMode.parse(mode)
    flow.client_conn.peername, flow.client_conn.sockname = peer, ("127.0.0.1", 4000)
    flow.client_conn.sni = None
    fields = [(b"host", host.encode()), *headers]
    if content:
        fields.append((b"content-length", b"%d" % len(content)))
    flow.request = http.Request(
        host, port, method.encode(), b"https" if tls else b"http", b"", path.encode(), b"HTTP/1.1",
        http.Headers(fields), content, None, time.time(), time.time(),
    )  # fmt: skip
    flow.request.__dict__[CLIENT_HOST] = client_host
    flow.response = None
    return flow


def make_exchange(
    flow: http.HTTPFlow | None = None,
    *,
    settings: Settings | None = None,
    services: Services | None = None,
    surface: str = "messages",
    **fields: Any,
) -> Exchange:
    """An Exchange with a policy without stages, for tests of a single stage."""
    flow = flow or make_flow()
    d = flow.request.data
    given: dict[str, Any] = {
        "id": "sg_test",
        "policy": Policy(settings or quiet(), (), services or Services({})),
        "door": "reverse",
        "format": format_of(surface),
        "started": time.monotonic(),
        "started_at": time.time(),
        "origin": (d.scheme == b"https", d.host, d.port),
    }
    x = Exchange(flow=flow, **{**given, **{k: v for k, v in fields.items() if k in Exchange.__slots__}})
    for part in (x.routing, x.ending, x.life):
        for name in type(part).__slots__:
            if name in fields:
                setattr(part, name, fields.pop(name))
    unknown = [name for name in fields if name not in Exchange.__slots__]
    assert not unknown, f"no such field of an Exchange: {', '.join(unknown)}"
    return x


def planted(
    name: str,
    log: list[str],
    *,
    on_error: OnError = "fail_closed",
    raises: Mapping[str, BaseException] | None = None,
    does: Mapping[str, Callable[[Exchange], object]] | None = None,
    waits: Callable[[Exchange], Any] | None = None,
) -> type[Stage]:
    """A stage that logs `name.method`, then calls the given function, then raises the given exception.

    `waits(x)` gives an awaitable: then `request` is asynchronous, and does and raises after it.
    """
    raises, does = raises or {}, does or {}

    def act(x: Exchange, hook: str) -> None:
        log.append(f"{name}.{hook}")
        if hook in does:
            does[hook](x)
        if hook in raises:
            raise raises[hook]

    async def later(x: Exchange) -> None:
        assert waits
        await waits(x)
        act(x, "request")

    class Planted(Stage):
        def head(self, x: Exchange) -> None:
            act(x, "head")

        def request(self, x: Exchange) -> Any:
            return later(x) if waits else act(x, "request")

        def answer(self, x: Exchange) -> None:
            act(x, "answer")

        def settle(self, x: Exchange) -> None:
            act(x, "settle")

    Planted.name, Planted.on_error = name, on_error
    return Planted


@contextmanager
def chain_of(
    *stages: type[Stage], settings: Settings | None = None, services: Services | None = None
) -> Generator[Chain, None, None]:
    """A Chain with these stages in this order, inside a mitmproxy that does nothing."""
    with taddons.context(Save(), Proxyserver(), loadcore=False) as running:
        chain = Chain(services or Services({}))
        running.master.addons.lookup[chain.name] = chain
        chain.policy = Policy(settings or quiet(), stages, chain.services)
        try:
            yield chain
        finally:
            running.master._legacy_log_events.uninstall()  # else every later log line is sent to this loop


def the_exchange(flow: http.HTTPFlow) -> Exchange:
    """The flow's Exchange; an AssertionError if it has none."""
    x = exchange_of(flow)
    assert x is not None, "the flow has no exchange"
    return x


async def descend(chain: Chain, flow: http.HTTPFlow) -> None:
    """The hooks of a request, as mitmproxy calls them; after them there is an answer of ours or a release."""
    chain.requestheaders(flow)
    if waiting := chain.request(flow):
        await waiting


def send_answer(
    chain: Chain,
    flow: http.HTTPFlow,
    chunks: Sequence[bytes] = (),
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """An answer from upstream (or ours, where the flow has one already), to its clean end; returns what the client gets."""
    if flow.response is None:
        flow.response = http.Response.make(status, b"", dict(headers or {"content-type": "application/json"}))
        flow.response.data.content = None
    chain.responseheaders(flow)
    x = exchange_of(flow)
    if x is None:
        return flow.response.content or b""
    out = b"".join(piece for chunk in [*chunks, b""] for piece in x.taps(chunk))
    chain.response(flow)
    return out


def fail(chain: Chain, flow: http.HTTPFlow, message: str = "the upstream went away", *, by_client: bool = False) -> None:
    """The end by an error, the upstream's or the client's."""
    if by_client and (x := exchange_of(flow)):
        x.life.client_left()
    flow.error = mflow.Error(message)
    chain.error(flow)
