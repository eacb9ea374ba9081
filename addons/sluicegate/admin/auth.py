"""Who may see an admin page: the holder of the admin token; if none is configured, a local client only.

A local client connects from a loopback address, names a loopback host, sends no foreign Origin, and is not a forwarder of
others' requests. The host check stops DNS rebinding, the Origin check stops pages of other sites.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from sluicegate.core.addresses import MAGIC_HOST, is_local
from sluicegate.exchange.exchange import Exchange
from sluicegate.providers.base import bearer_token, is_loopback
from sluicegate.settings.secret import Secret
from sluicegate.stages.identity.stage import Identity

__all__ = ["AdminAuth"]

_TOKEN_HEADER: Final = b"x-sluicegate-admin"
_UNAUTHORIZED: Final = "admin token required; send it as Authorization: Bearer or x-sluicegate-admin"
_FORWARDERS: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")


class AdminAuth:
    """Decides per request. `environ` is where the admin token is resolved."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._token: tuple[Secret, bytes] | None = None

    def why_denied(self, x: Exchange, identity: Identity | None) -> str | None:
        """Why this client may not see an admin page; None if it may. Raises SecretError if the token cannot be resolved."""
        token = x.policy.settings.identity.admin_token
        if token is not None:
            return None if self._has_token(x, token) else _UNAUTHORIZED
        return _why_not_local(x, identity)

    def _has_token(self, x: Exchange, token: Secret) -> bool:
        expected = self._hash_of(token)
        sent = next((v for k, v in x.client_credentials if k.lower() == _TOKEN_HEADER), None) or bearer_token(
            x.client_credentials
        )
        return bool(sent) and hmac.compare_digest(hashlib.sha256(sent or b"").digest(), expected)

    def _hash_of(self, token: Secret) -> bytes:
        """The hash of the admin token. Resolved once per configuration, because that may run a command."""
        if self._token is None or self._token[0] is not token:
            self._token = token, hashlib.sha256(token.resolve(self._environ).encode()).digest()
        return self._token[1]


def _why_not_local(x: Exchange, identity: Identity | None) -> str | None:
    headers, peer = x.request.headers, x.flow.client_conn.peername
    forwarded = identity is not None and identity.authenticator.is_forwarder(peer)
    if forwarded or any(h in headers for h in _FORWARDERS) or not is_local(peer):
        return "this page is available from this machine only; set identity.admin_token to allow access from others"
    host = _hostname(x.client_host)
    if not is_loopback(host) and host != MAGIC_HOST:
        return f"this page is available under a loopback name only, not under {host[:100]!r}"
    origin = headers.get("origin")
    if origin and not is_loopback(_hostname(origin.partition("://")[2])):
        return "cross-origin access to this page is not allowed"
    return None


def _hostname(authority: str) -> str:
    host = authority.strip().lower().partition("/")[0]
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.rpartition(":")[0] if host.count(":") == 1 else host
