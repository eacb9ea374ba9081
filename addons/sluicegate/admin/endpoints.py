"""The gate's own endpoints: never proxied. On the reverse door by path, elsewhere on the host `sluicegate.local`.

Anyone may ask for /health and /ready, any client for its own /usage and for /v1/models. The rest needs the admin token;
where none is configured, only a loopback peer that names a loopback host, from no foreign origin, through no forwarder.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
from mitmproxy import ctx, http

from sluicegate import __version__
from sluicegate.admin.pages import metrics
from sluicegate.admin.pages.models import MODELS, ModelsPage
from sluicegate.admin.pages.usage import Counting, usage_page
from sluicegate.core.addresses import is_local
from sluicegate.core.errors import error_body
from sluicegate.core.identity.caller import Caller
from sluicegate.exchange.bodies import ByteSource
from sluicegate.exchange.exchange import Exchange
from sluicegate.gate.policy import MAGIC_HOST, Policy, policy_of
from sluicegate.providers.base import bearer_token, is_loopback
from sluicegate.settings.secret import Secret

if TYPE_CHECKING:
    from sluicegate.gate.chain import Chain
    from sluicegate.stages.router.stage import Router

__all__ = ["Endpoints"]

Answer = tuple[http.Response, ByteSource | None]

USAGE: Final = "/usage"
RESERVED: Final = frozenset({"/metrics/stream", "/dashboard"})
"""Names that belong to the gate, and that this version has no answer for."""

_FORWARDERS: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")


class Endpoints:
    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._open: dict[str, Callable[[Exchange], Answer]] = {"/health": self._health, "/ready": self._ready}
        self._admin: dict[str, Callable[[Exchange], Answer]] = {
            "/stats": self._stats,
            "/metrics": self._metrics,
            "/debug": self._debug,
            "/monitor": self._monitor,
        }
        self._models = ModelsPage(chain.services)
        self._token: tuple[Secret, bytes] | None = None

    def owns(self, path: str, policy: Policy) -> bool:
        name = path.partition("?")[0]
        own = name in self._open or name in self._admin or name in RESERVED or name == USAGE
        return own or self._models.owns(path, policy.router)

    def answer(self, x: Exchange) -> Answer | Awaitable[Answer]:
        """The answer to a request for one of our own endpoints. Raises Refused."""
        name = x.request.path.partition("?")[0]
        if x.request.method not in ("GET", "HEAD"):
            return _error(405, f"{name} answers GET only", [(b"allow", b"GET, HEAD")])
        if handler := self._open.get(name):
            return handler(x)
        if name == USAGE:
            return self._usage(x)
        if name == MODELS or name.startswith(f"{MODELS}/"):
            return self._models_served(x)
        if not (handler := self._admin.get(name)):
            known = ", ".join([*self._open, USAGE, MODELS, *self._admin])
            return _error(404, f"the gate has no page {name[:100]} in this version; it has {known}")
        if why := self._stranger(x):
            return _error(403, why)
        return handler(x)

    # -- who may
    def _stranger(self, x: Exchange) -> str | None:
        """Why this request may not see an admin page; None where it may."""
        token = x.policy.settings.identity.admin_token
        if token is not None:
            expected = self._expected(token)
            given = next((v for k, v in x.client_credentials if k.lower() == b"x-sluicegate-admin"), None)
            given = given or bearer_token(x.client_credentials)
            if given and hmac.compare_digest(hashlib.sha256(given).digest(), expected):
                return None
            return "this page needs the admin token, as Authorization: Bearer or x-sluicegate-admin"
        headers, peer = x.request.headers, x.flow.client_conn.peername
        identity = policy_of(x).identity
        forwarded = any(h in headers for h in _FORWARDERS) or (identity and identity.who.is_forwarder(peer))
        if not is_local(peer) or forwarded:
            return "this page is for this machine only; set identity.admin_token to open it to others"
        host = _hostname(x.client_host)
        if not is_loopback(host) and host != MAGIC_HOST:
            return f"this page answers on a loopback name only, not on {host[:100]!r}"
        origin = headers.get("origin")
        if origin and not is_loopback(_hostname(origin.partition("://")[2])):
            return "this page does not answer to pages of other sites"
        return None

    def _expected(self, token: Secret) -> bytes:
        """The hash of the admin token; read once, as a command may have to be run for it."""
        if self._token is None or self._token[0] is not token:
            given = token.resolve(self.chain.services.environ).encode()
            self._token = token, hashlib.sha256(given).digest()
        return self._token[1]

    # -- the pages
    def _usage(self, x: Exchange) -> Answer | Awaitable[Answer]:
        """What the client that asks has spent, and how much it may."""
        identity = policy_of(x).identity
        if identity is None:
            return _error(404, "who calls is not told apart here: the stage for it does not run")
        caller = identity.identify(x)
        limiter = next((s for s in policy_of(x).stages if isinstance(s, Counting)), None)
        if limiter is None:
            return _json(usage_page(caller, ()))
        return self._with_limits(caller, limiter)

    async def _with_limits(self, caller: Caller, limiter: Counting) -> Answer:
        limits = await limiter.usage(caller)
        if limits is None:
            return _error(503, "the store of limits can not be reached at the moment", [(b"retry-after", b"5")])
        return _json(usage_page(caller, limits))

    def _models_served(self, x: Exchange) -> Answer | Awaitable[Answer]:
        identity, router = policy_of(x).identity, policy_of(x).router
        if identity is None or router is None:
            return _error(404, "no models are served here: the stages that know do not run")
        caller = identity.identify(x)
        identity.consume(x)
        return self._listed(x, router, caller)

    async def _listed(self, x: Exchange, router: Router, caller: Caller) -> Answer:
        return _json(await self._models.answer(x, router, caller))

    def _health(self, x: Exchange) -> Answer:
        return _json({"status": "ok"})

    def _ready(self, x: Exchange) -> Answer:
        if self.chain.services.draining:
            return _json({"status": "draining"}, 503)
        return _json({"status": "ready"})

    def _stats(self, x: Exchange) -> Answer:
        services = self.chain.services
        return _json({"run": services.stats.snapshot(), "alarms": dict(services.alarms)})

    def _metrics(self, x: Exchange) -> Answer:
        headers = {"content-type": metrics.CONTENT_TYPE, "cache-control": "no-store"}
        return http.Response.make(200, metrics.exposition(self.chain.services), headers), None

    def _debug(self, x: Exchange) -> Answer:
        policy = policy_of(x)
        return _json(
            {
                "version": __version__,
                "config_file": str(self.chain.reloader.path) if self.chain.reloader.path else None,
                "config": policy.settings.effective(),
                "stages": [s.name for s in policy.stages],
                "modes": list(ctx.options.mode),
                "decrypts": sorted(policy.decrypts),
                "upstream_proxy": self.chain.services.via,
            }
        )

    def _monitor(self, x: Exchange) -> Answer:
        if self.chain.services.monitor.full:
            return _error(503, "too many listen to /monitor already")
        source = ByteSource()
        last = x.request.headers.get("last-event-id", "")
        self.chain.services.monitor.listen(
            source, int(last) if last.isascii() and last.isdigit() and len(last) < 19 else None
        )
        response = http.Response.make(200, b"", {"content-type": "text/event-stream", "cache-control": "no-store"})
        response.headers.pop("content-length", None)
        if x.flow.client_conn.alpn != b"h2":
            response.headers["transfer-encoding"] = "chunked"
        return response, source

    # -- bodies that arrive over time
    async def pull(self, x: Exchange, source: ByteSource) -> None:
        """Wait until the client's buffers have drained, then for bytes, or for the client to leave."""
        handler = ctx.master.addons.get("proxyserver").connections.get(x.flow.client_conn.id)
        if handler:
            await handler.drain_writers()
        ready = asyncio.ensure_future(source.wait())
        gone = asyncio.ensure_future(x.life.until_gone())
        try:
            await asyncio.wait({ready, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            gone.cancel()


def _hostname(authority: str) -> str:
    host = authority.strip().lower().partition("/")[0]
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _json(value: Any, status: int = 200) -> Answer:
    body = msgspec.json.encode(value)
    headers = {
        "content-type": "application/json",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    return http.Response.make(status, body, headers), None


def _error(status: int, message: str, fields: list[tuple[bytes, bytes]] | None = None) -> Answer:
    response = http.Response.make(status, error_body(status, message), {"content-type": "application/json"})
    for k, v in fields or ():
        response.headers[k.decode()] = v.decode()
    return response, None
