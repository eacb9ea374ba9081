"""The response cache's key: which requests may get the same answer.

    exact       the body byte for byte
    normalized  without what differs between two identical runs of a client (normalize.py)
    suffix      normalized, and only the last few messages

In every tier the key covers the tenant, the surface, the effective model, the query, the headers of a provider's API
(`anthropic-version`, a Bedrock guardrail), and the host unless a route chooses it. Each part is hashed with its length, so
that text cannot move from one part to the next.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from sluicegate.core.cachekey.normalize import NO_STRIPS, Strips, normalized
from sluicegate.core.cachekey.stateful import why_stateful

__all__ = ["Bypass", "KeyInput", "KeyMaker", "KeyRules", "Keys", "Tier", "is_api_header", "read_body", "tenant_of"]

Tier = Literal["exact", "normalized", "suffix"]

_FORMAT: Final = b"sluicegate response cache 2"
"""Change it when the same request would get another key: old entries are then never found."""

_MAX_REMEMBERED: Final = 500


@dataclass(frozen=True, slots=True)
class KeyRules:
    """The key as configured."""

    tier: Tier = "exact"
    strips: Strips = NO_STRIPS
    suffix_messages: int = 3


@dataclass(frozen=True, slots=True)
class KeyInput:
    """The parts of a request that decide its answer."""

    tenant: bytes
    """See `tenant_of`. Stored and shown only as part of the hash."""
    surface: str
    model: str
    """The model that the first target is asked for."""
    body: bytes
    version: str = ""
    """The anthropic-version header."""
    betas: Sequence[str] = ()
    """The anthropic-beta headers; each may list several flags."""
    api_headers: Sequence[str] = ()
    """Other headers of a provider's API (`is_api_header`), as `name: value`, names in lower case."""
    query: str = ""
    origin: str = ""
    """The host that the client chose; empty if routes choose it by the model."""
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """`exact` tells a repeated request from a similar one. `lookup` are the keys to look under, the closest match first."""

    exact: str
    lookup: tuple[tuple[Tier, str], ...]


@dataclass(frozen=True, slots=True)
class Bypass:
    """The request bypasses the cache."""

    why: str


def read_body(body: bytes) -> dict[str, Any] | None:
    """The request's JSON object; None if it is not an object, or not strictly valid JSON."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


class KeyMaker:
    """Makes keys by one set of rules, and remembers the latest, so that a repeated request is not parsed again.

    `fingerprint` identifies a body among the remembered ones; a client must not be able to make two bodies collide. The
    keys themselves are SHA-256 hashes.
    """

    def __init__(self, rules: KeyRules, fingerprint: Callable[[bytes], bytes] | None = None) -> None:
        self.rules = rules
        self._fingerprint = fingerprint or (lambda body: hashlib.sha256(body).digest())
        self._remembered: OrderedDict[tuple[object, ...], Keys | Bypass] = OrderedDict()

    def keys(self, request: KeyInput) -> Keys | Bypass:
        """The keys of a request: 64 hexadecimal digits each."""
        identity = (
            request.tenant,
            request.surface,
            request.model,
            self._fingerprint(request.body),
            request.version,
            tuple(request.betas),
            tuple(request.api_headers),
            request.query,
            request.origin,
            request.session_id,
        )
        found = self._remembered.get(identity)
        if found is None:
            found = self._remembered[identity] = self._make(request, _exact(request))
            if len(self._remembered) > _MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return found

    def _make(self, request: KeyInput, exact: str) -> Keys | Bypass:
        value = read_body(request.body)
        if value is None:
            return Bypass("the body is not a strictly valid JSON object")
        if why := why_stateful(value):
            return Bypass(why)
        if self.rules.tier == "exact":
            return Keys(exact, (("exact", exact),))
        try:
            return Keys(exact, tuple(_looser_keys(value, request, self.rules)))
        except (RecursionError, msgspec.EncodeError, UnicodeEncodeError):
            return Bypass("the body is nested too deeply")


def _exact(request: KeyInput) -> str:
    return _digest(b"exact", *_common(request, ",".join(request.betas)), request.body)


def _common(request: KeyInput, flags: str) -> tuple[bytes, ...]:
    r, headers = request, "\n".join(sorted(request.api_headers))
    return (r.tenant, *map(_utf8, (r.surface, r.model, r.version, flags, headers, r.query, r.origin)))


def _looser_keys(value: dict[str, Any], request: KeyInput, rules: KeyRules) -> list[tuple[Tier, str]]:
    common = _common(request, ",".join(sorted({f.strip() for line in request.betas for f in line.split(",")} - {""})))
    plain = normalized(value, rules.strips, request.session_id)
    found: list[tuple[Tier, str]] = [("normalized", _digest(b"normalized", *common, msgspec.json.encode(plain)))]
    if rules.tier == "suffix" and isinstance(messages := plain.get("messages"), list):
        tail = {**plain, "messages": messages[-rules.suffix_messages :]}
        found.append(("suffix", _digest(b"suffix", *common, msgspec.json.encode(tail))))
    return found


_API_PREFIXES: Final = (b"anthropic-", b"x-amzn-bedrock-", b"openai-")


def is_api_header(name: bytes) -> bool:
    """Whether a header (in lower case) belongs to a provider's API and may change the answer; any such prefix counts."""
    return name.startswith(_API_PREFIXES)


def tenant_of(scope: str | None, credentials: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Who shares cached answers: the virtual key's scope, else a hash of the client's credential.

    `x-api-key: K` and `authorization: Bearer K` are the same credential; cookies and the admin token do not count.
    """
    if scope is not None:
        return b"scope\0" + _utf8(scope)
    tokens = {
        value[7:].strip() if value[:7].lower() == b"bearer " else value.strip()
        for name, value in credentials
        if name.lower() not in (b"cookie", b"x-sluicegate-admin")
    }
    return b"credential\0" + bytes.fromhex(_digest(*sorted(tokens)))


def _utf8(text: str) -> bytes:
    """Encodes any text, including headers with stray bytes."""
    return text.encode("utf-8", "surrogatepass")


def _digest(*parts: bytes) -> str:
    running = hashlib.sha256(_FORMAT)
    for part in parts:
        running.update(len(part).to_bytes(8))
        running.update(part)
    return running.hexdigest()
