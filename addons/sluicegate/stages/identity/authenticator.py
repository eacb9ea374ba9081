"""From the credentials of a request or a CONNECT to a Caller, or to the 401 or 407 that says why there is none."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from sluicegate.core.addresses import is_within
from sluicegate.core.errors import Refused
from sluicegate.core.identity.caller import (
    Caller,
    Mode,
    TeamDefaults,
    presented_keys,
)
from sluicegate.core.identity.keys import (
    KeyRecord,
    KeyStatus,
    caller_of,
    digest_of,
    pseudonym,
    status_of,
)
from sluicegate.services.services import Services
from sluicegate.services.telemetry.log import log
from sluicegate.settings import Settings
from sluicegate.settings.identity import VirtualKey

__all__ = ["Authenticator", "ProxyAuthRequired"]

ANONYMOUS: Final = "anonymous"
_SHORT: Final = 16
_MAX_VALUE: Final = 128

_WHY_INVALID: Final[dict[KeyStatus, str]] = {
    "unknown": "invalid virtual key; check that it was copied in full (sk-sg-…)",
    "expired": "this virtual key has expired; ask your gateway administrator for a new one",
    "revoked": "this virtual key was revoked; ask your gateway administrator for a new one",
    "paused": "this virtual key is paused; ask your gateway administrator to resume it",
    "replaced": "this virtual key was rotated; use the new one",
}


class ProxyAuthRequired(Refused):
    """407: the client must authenticate with the proxy itself (RFC 9110, 15.5.8)."""

    def __init__(self, message: str) -> None:
        super().__init__(407, message, should_retry=False)

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [*super().headers(), (b"proxy-authenticate", b'Basic realm="sluicegate"')]


class Authenticator:
    """Built from one configuration. Raises StoreError and ValueError if the configuration cannot be put in force."""

    def __init__(self, settings: Settings, services: Services) -> None:
        identity = settings.identity
        self.mode: Mode = identity.mode
        self.server_key = services.server_key_for(settings)
        self._teams = {name: TeamDefaults(t.project, t.tags, t.models) for name, t in identity.teams.items()}
        self._ring = services.keyring_for(settings) if self.mode == "keys" else None
        self._static: dict[bytes, KeyRecord] = {}
        for index, entry in enumerate(identity.keys if self.mode == "keys" else ()):
            self._add_static(index, entry, entry.key.resolve(services.environ))
        header = identity.trusted_header
        self.trusted_header = header.name.lower().encode() if header else None
        """The header's name in lower case, or None."""
        self._peers = [ipaddress.ip_network(peer) for peer in (header.peers if header else ())]
        self._means = header.means if header else "user"

    def _add_static(self, index: int, entry: VirtualKey, key: str) -> None:
        if len(key) < _SHORT:
            log.warning(
                "identity.short_key", key=f"identity.keys[{index}]", why=f"under {_SHORT} characters; easy to guess"
            )
        digest = digest_of(self.server_key, key.encode())
        if digest in self._static:
            raise ValueError(f"identity.keys[{index}].key: the same key as another entry's")
        self._static[digest] = KeyRecord(
            id=f"static_{digest[:8].hex()}",
            digest=digest,
            created_at=0.0,
            name=entry.name,
            team=entry.team,
            user=entry.user,
            project=entry.project,
            tags=entry.tags,
            models=entry.models,
            expires_at=entry.expires.timestamp() if entry.expires else None,
        )

    # -- by a virtual key
    def digest(self, key: bytes) -> bytes:
        return digest_of(self.server_key, key)

    def look_up(self, digest: bytes) -> tuple[Caller | None, KeyStatus]:
        """The caller whose key has this hash, and the key's status; no caller unless that is valid."""
        record = self._static.get(digest) or (self._ring.by_digest.get(digest) if self._ring else None)
        if record is None:
            return None, "unknown"
        status = status_of(record, digest, time.time())
        return (caller_of(record, self._teams.get(record.team or "")) if status == "valid" else None), status

    def by_digest(self, digest: bytes) -> Caller:
        """Raises Refused (401), which says why the key is not valid."""
        found, status = self.look_up(digest)
        if found is None:
            raise Refused(401, _WHY_INVALID[status], should_retry=False)
        return found

    def by_proxy_password(self, password: bytes | None) -> tuple[bytes, Caller]:
        """The hash and the caller of a proxy password. Raises ProxyAuthRequired."""
        if password is None:
            raise ProxyAuthRequired(
                "proxy authentication required; send a virtual key as the password: HTTPS_PROXY=http://any-name:sk-sg-…@host:port"
            )
        digest = self.digest(password)
        found, status = self.look_up(digest)
        if found is None:
            raise ProxyAuthRequired(f"proxy password: {_WHY_INVALID[status]}")
        return digest, found

    # -- without a virtual key
    def unverified(self, fields: Iterable[tuple[bytes, bytes]]) -> Caller:
        """The same credential gives the same caller. Nothing proves that the credential is valid."""
        keys = presented_keys(fields)
        return Caller(pseudonym(self.server_key, keys[0]) if keys and keys[0] else ANONYMOUS, mode=self.mode)

    def from_trusted_header(self, value: str) -> Caller:
        """The caller that the trusted header names, for a request without a virtual key."""
        return self.with_trusted_value(Caller(f"{self._means}:{value}", mode=self.mode), value)

    def with_trusted_value(self, caller: Caller, value: str) -> Caller:
        """The caller with the user, project or team that the trusted header names."""
        match self._means:
            case "user":
                return replace(caller, user=value)
            case "project":
                return replace(caller, project=value)
            case "team":
                team = self._teams.get(value) or TeamDefaults()
                return replace(
                    caller,
                    team=value,
                    project=caller.project or team.project,
                    tags={**team.tags, **caller.tags},
                    models=caller.models or team.models,
                )

    def is_forwarder(self, peer: object) -> bool:
        """Whether this socket address forwards requests of others, as one of the trusted header's peers."""
        return is_within(peer, self._peers)

    def trusted_value(self, fields: Iterable[tuple[bytes, bytes]], peer: object) -> str | None:
        """The trusted header's value if one of its peers sends it; None if it is missing, repeated or not a plain name."""
        if self.trusted_header is None:
            return None
        values = [v for k, v in fields if k.lower() == self.trusted_header]
        if len(values) != 1 or not self.is_forwarder(peer):
            return None
        try:
            text = values[0].decode().strip()
        except UnicodeDecodeError:
            return None
        return text if 0 < len(text) <= _MAX_VALUE and text.isprintable() and "," not in text else None
