"""Who is it: from what a request or a CONNECT presents to a Caller, or to the 401 or 407 that says why not."""

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
    Standing,
    caller_of,
    digest_of,
    pseudonym,
    standing,
)
from sluicegate.services.services import Services
from sluicegate.services.telemetry.log import log
from sluicegate.settings import Settings
from sluicegate.settings.identity import VirtualKey

__all__ = ["ProxyAuthRequired", "Recognizer"]

ANONYMOUS: Final = "anonymous"
_SHORT: Final = 16
_MAX_VALUE: Final = 128

_WORDS: Final[dict[Standing, str]] = {
    "unknown": "this is no valid key here; check that all of your virtual key (sk-sg-…) was copied",
    "expired": "this virtual key has expired; ask whoever runs the gate for a new one",
    "revoked": "this virtual key was revoked; ask whoever runs the gate for a new one",
    "paused": "this virtual key is paused; ask whoever runs the gate to resume it",
    "replaced": "this virtual key was replaced by another one; use that",
}


class ProxyAuthRequired(Refused):
    """407: the client has to say who it is to the proxy itself (RFC 9110, 15.5.8)."""

    def __init__(self, message: str) -> None:
        super().__init__(407, message, should_retry=False)

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [*super().headers(), (b"proxy-authenticate", b'Basic realm="sluicegate"')]


class Recognizer:
    """Built from one configuration. Raises StoreError and ValueError where that can not be put in force."""

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
        """Its name in lower case."""
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

    # -- by a key of ours
    def digest(self, key: bytes) -> bytes:
        return digest_of(self.server_key, key)

    def look(self, digest: bytes) -> tuple[Caller | None, Standing]:
        """The caller whose key has this hash; None where it is worth nothing, and why."""
        record = self._static.get(digest) or (self._ring.by_digest.get(digest) if self._ring else None)
        if record is None:
            return None, "unknown"
        worth = standing(record, digest, time.time())
        return (caller_of(record, self._teams.get(record.team or "")) if worth == "valid" else None), worth

    def caller(self, digest: bytes) -> Caller:
        """Raises Refused (401), which says what is the matter with the key."""
        found, worth = self.look(digest)
        if found is None:
            raise Refused(401, _WORDS[worth], should_retry=False)
        return found

    def at_door(self, password: bytes | None) -> tuple[bytes, Caller]:
        """The hash and the caller of a proxy password. Raises ProxyAuthRequired."""
        if password is None:
            raise ProxyAuthRequired(
                "this proxy needs a virtual key as its password: HTTPS_PROXY=http://any-name:sk-sg-…@host:port"
            )
        digest = self.digest(password)
        found, worth = self.look(digest)
        if found is None:
            raise ProxyAuthRequired(f"proxy password: {_WORDS[worth]}")
        return digest, found

    # -- by something else
    def unproved(self, fields: Iterable[tuple[bytes, bytes]]) -> Caller:
        """Whoever presents the same credential is the same caller; nothing says that the credential is good."""
        keys = presented_keys(fields)
        return Caller(pseudonym(self.server_key, keys[0]) if keys and keys[0] else ANONYMOUS, mode=self.mode)

    def vouched_for(self, value: str) -> Caller:
        """The caller that a trusted header names, where nothing else says who it is."""
        return self.renamed(Caller(f"{self._means}:{value}", mode=self.mode), value)

    def renamed(self, caller: Caller, value: str) -> Caller:
        """A caller with what the trusted header says of it."""
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
        """Whether somebody else's requests come from this socket address."""
        return is_within(peer, self._peers)

    def vouched(self, fields: Iterable[tuple[bytes, bytes]], peer: object) -> str | None:
        """What the trusted header says, from one of its peers; None where it is missing, twice there or no plain name."""
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
