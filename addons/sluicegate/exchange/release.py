"""Release: the right to send. Target: where to. A request leaves only while it equals the released one (proxy/layer.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mitmproxy import http

from sluicegate.core.addresses import host_port
from sluicegate.core.wire.header_fields import HeaderFields
from sluicegate.exchange.upstream_proxy import UpstreamProxy

__all__ = ["Origin", "Release", "Snapshot", "Target", "restore", "snapshot"]

Origin = tuple[bool, str, int]
"""(TLS, host, port) of a server."""

Snapshot = tuple[bytes, bytes, str, int, bytes, HeaderFields, bytes | None]


def snapshot(request: http.Request) -> Snapshot:
    """What a request is, by value: method, scheme, host, port, path, header fields, body."""
    d = request.data
    return d.method, d.scheme, d.host, d.port, d.path, d.headers.fields, d.content


def restore(request: http.Request, before: Snapshot) -> None:
    """Put a request back as it was."""
    d = request.data
    d.method, d.scheme, d.host, d.port, d.path, d.headers.fields, d.content = before


@dataclass(frozen=True, slots=True)
class Target:
    """One place where a request may go, and the credential that it needs there.

    `credential` yields the header fields that authenticate a request at exactly this target; it is called at the
    moment of sending and its result never touches the flow. `via` is the proxy to reach the target through.
    """

    tls: bool
    host: str
    port: int
    provider: str = ""
    model: str | None = None
    via: UpstreamProxy | None = None
    credential: Callable[[http.Request], Iterable[tuple[bytes, bytes]]] = field(
        default=lambda _: (), repr=False, compare=False
    )

    @property
    def origin(self) -> Origin:
        return self.tls, self.host, self.port

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{host_port(self.host, self.port)}"


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """The Chain's permission to send this request, as it stands, to this target. One per attempt."""

    target: Target
    seen: Snapshot
    upgrade: bool = False

    def covers(self, request: http.Request) -> bool:
        """Whether the request is still, byte for byte, the one that was released."""
        return self.seen == snapshot(request)
