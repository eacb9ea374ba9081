"""The response cache's key: which two requests may get the same answer.

    exact       the body byte for byte
    normalized  without what differs between two identical runs of a client (normal.py)
    suffix      normalized, and of the messages the last few only

Whatever the tier, these belong to the key: the tenant, the surface, the effective model, the query, the headers that speak
to a provider's API (`anthropic-version`, a guardrail of Bedrock's), and the host where no route decides on it. Parts are
hashed with their lengths, so that no text can move from one part to the next.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from sluicegate.core.cachekey.normal import NO_STRIPS, Strips, normalized
from sluicegate.core.cachekey.stateful import why_stateful

__all__ = ["Asked", "Bypass", "KeyMaker", "Keys", "Rules", "Tier", "read_body", "speaks_to_api", "tenant_of"]

Tier = Literal["exact", "normalized", "suffix"]

_FORMAT: Final = b"sluicegate response cache 2"
"""Changes when the same request would get another key: old entries are then never found."""


_MAX_RECENT: Final = 500


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says of the key."""

    tier: Tier = "exact"
    strips: Strips = NO_STRIPS
    suffix_messages: int = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as far as it decides the answer."""

    tenant: bytes
    """Whose it is: see `tenant_of`. Never part of anything that is stored or shown, but through the hash."""
    surface: str
    model: str
    """The model that the first target is asked for."""
    body: bytes
    version: str = ""
    """The anthropic-version header."""
    betas: Sequence[str] = ()
    """The anthropic-beta headers, each of which may list several flags."""
    more: Sequence[str] = ()
    """Other headers that speak to a provider's API (`speaks_to_api`), as `name: value`, names in lower case."""
    query: str = ""
    origin: str = ""
    """Where it goes by itself; empty where routes decide by the model."""
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """`exact` tells a repeated request from a similar one. `look` are the keys to look under, the closest first."""

    exact: str
    look: tuple[tuple[Tier, str], ...]


@dataclass(frozen=True, slots=True)
class Bypass:
    """The cache has nothing to do with this request."""

    why: str


def read_body(body: bytes) -> dict[str, Any] | None:
    """The request's JSON object; None where it is none, or none that a strict reader takes."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


class KeyMaker:
    """Makes keys by one set of rules, and remembers the last: a request that is sent again is not read again.

    `same` gives equal bytes for equal bodies and, as far as anybody can bring about, for no others: that is how a body is
    known again. The keys themselves are made with SHA-256.
    """

    def __init__(self, rules: Rules, same: Callable[[bytes], bytes] | None = None) -> None:
        self.rules = rules
        self._same = same or (lambda body: hashlib.sha256(body).digest())
        self._recent: OrderedDict[tuple[object, ...], Keys | Bypass] = OrderedDict()

    def keys(self, asked: Asked) -> Keys | Bypass:
        """The keys of a request: 64 hexadecimal digits each."""
        asked_as = (
            asked.tenant,
            asked.surface,
            asked.model,
            self._same(asked.body),
            asked.version,
            tuple(asked.betas),
            tuple(asked.more),
            asked.query,
            asked.origin,
            asked.session_id,
        )
        found = self._recent.get(asked_as)
        if found is None:
            found = self._recent[asked_as] = self._make(asked, _exact(asked))
            if len(self._recent) > _MAX_RECENT:
                self._recent.popitem(last=False)
        return found

    def _make(self, asked: Asked, exact: str) -> Keys | Bypass:
        value = read_body(asked.body)
        if value is None:
            return Bypass("the body is no JSON object that can be read strictly")
        if why := why_stateful(value):
            return Bypass(why)
        if self.rules.tier == "exact":
            return Keys(exact, (("exact", exact),))
        try:
            return Keys(exact, tuple(_similar(value, asked, self.rules)))
        except (RecursionError, msgspec.EncodeError, UnicodeEncodeError):
            return Bypass("the body is nested too deeply to be compared")


def _exact(asked: Asked) -> str:
    return _digest(b"exact", *_common(asked, ",".join(asked.betas)), asked.body)


def _common(asked: Asked, flags: str) -> tuple[bytes, ...]:
    more = "\n".join(sorted(asked.more))
    return (asked.tenant, *map(_utf8, (asked.surface, asked.model, asked.version, flags, more, asked.query, asked.origin)))


def _similar(value: dict[str, Any], asked: Asked, rules: Rules) -> list[tuple[Tier, str]]:
    common = _common(asked, ",".join(sorted({f.strip() for line in asked.betas for f in line.split(",")} - {""})))
    plain = normalized(value, rules.strips, asked.session_id)
    found: list[tuple[Tier, str]] = [("normalized", _digest(b"normalized", *common, msgspec.json.encode(plain)))]
    if rules.tier == "suffix" and isinstance(messages := plain.get("messages"), list):
        tail = {**plain, "messages": messages[-rules.suffix_messages :]}
        found.append(("suffix", _digest(b"suffix", *common, msgspec.json.encode(tail))))
    return found


_APIS: Final = (b"anthropic-", b"x-amzn-bedrock-", b"openai-")


def speaks_to_api(name: bytes) -> bool:
    """Whether a header (in lower case) may change what a provider answers: their lists are open."""
    return name.startswith(_APIS)


def tenant_of(scope: str | None, presented: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Whose cache it is: the virtual key's scope, else a hash of the credential that the client presented.

    `x-api-key: K` and `authorization: Bearer K` are the same credential; cookies and the admin token are none.
    """
    if scope is not None:
        return b"scope\0" + _utf8(scope)
    tokens = {
        value[7:].strip() if value[:7].lower() == b"bearer " else value.strip()
        for name, value in presented
        if name.lower() not in (b"cookie", b"x-sluicegate-admin")
    }
    return b"credential\0" + bytes.fromhex(_digest(*sorted(tokens)))


def _utf8(text: str) -> bytes:
    """Of any text, headers with stray bytes in them included."""
    return text.encode("utf-8", "surrogatepass")


def _digest(*parts: bytes) -> str:
    running = hashlib.sha256(_FORMAT)
    for part in parts:
        running.update(len(part).to_bytes(8))
        running.update(part)
    return running.hexdigest()
