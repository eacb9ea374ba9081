"""Who calls: the Caller that Identity puts on an exchange, and what a request presents to say so."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from sluicegate.core.routing.routes import matches_any

__all__ = [
    "KEY_PREFIX",
    "Caller",
    "Mode",
    "Period",
    "TeamDefaults",
    "holds_key",
    "is_provider_key",
    "may_hold_key",
    "presented_keys",
    "proxy_password",
]

Mode = Literal["open", "keys", "passthrough"]
Period = Literal["hour", "day", "week", "month"]

KEY_PREFIX: Final = "sk-sg-"
"""What every virtual key begins with, so that one is known wherever it turns up."""

_MARK: Final = KEY_PREFIX.encode()
_HEADERS: Final = (b"x-api-key", b"authorization", b"api-key", b"x-goog-api-key")
"""Where clients put their key; the first one that is there counts (Anthropic's API does the same)."""

_PROVIDER_KEYS: Final = (
    *(b"sk-", b"AIza", b"ya29.", b"gsk_", b"xai-", b"csk-", b"fw_", b"nvapi-", b"pplx-", b"hf_"),
    *(b"ghu_", b"ABSK", b"AKIA", b"ASIA", b"AWS4-HMAC-SHA256"),
)
"""How the keys of known vendors begin."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One caller, as far as the gate knows it. Holds no secret: all of it may be logged and shown."""

    key_id: str
    """Stable and public: the virtual key's id (it survives a rotation), else a keyed hash of the credential, else
    "anonymous". Never a key."""
    name: str | None = None
    team: str | None = None
    user: str | None = None
    project: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    """Cost centres and the like; the key's own over its team's."""
    models: tuple[str, ...] = ()
    """Patterns (`*` for any part) of the models that the caller may ask for; () for all."""
    budget_usd: Mapping[Period, float] | None = None
    """The key's own budget, US dollars per period; None where it has none of its own."""
    mode: Mode = "open"
    """How it was told: open tells nobody apart for certain, keys by a key of ours, passthrough by its own credential."""

    def may_ask_for(self, model: str | None) -> bool:
        """Whether a request for this model is the caller's to make; one without a readable model is only where all are."""
        return not self.models or (model is not None and matches_any(self.models, model))


@dataclass(frozen=True, slots=True)
class TeamDefaults:
    """What the keys of a team have where they say nothing themselves."""

    project: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()


def presented_keys(fields: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """The keys that a request's credential headers present, the most telling first, without the word Bearer."""
    found = [(_HEADERS.index(name), value) for k, value in fields if (name := k.lower()) in _HEADERS]
    return [_bare(value) for _, value in sorted(found, key=lambda f: f[0])]


def _bare(value: bytes) -> bytes:
    value = value.strip()
    return value[7:].strip() if value[:7].lower() == b"bearer " else value


def proxy_password(fields: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The password of a `Proxy-Authorization: Basic …` (RFC 7617), whatever the user; None where there is none.

    None, too, where there are several of them: who counts would be a matter of taste.
    """
    values = [v for k, v in fields if k.lower() == b"proxy-authorization"]
    if len(values) != 1 or values[0][:6].lower() != b"basic ":
        return None
    _, _, password = _from_basic(values[0]).partition(b":")
    return password or None


def _from_basic(value: bytes) -> bytes:
    """What a `Basic …` value says; b"" where it is no base64."""
    try:
        return base64.b64decode(value[6:].strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


def is_provider_key(key: bytes) -> bool:
    """Whether this looks like the key of a vendor, and not like one of ours."""
    return key.startswith(_PROVIDER_KEYS) and not key.startswith(_MARK)


def may_hold_key(values: Iterable[bytes]) -> bool:
    """Whether it is worth asking `holds_key` of each: False is certain."""
    text = b"\n".join(values)
    return _MARK in text or b"basic " in text.lower()


def holds_key(value: bytes) -> bool:
    """Whether a virtual key stands somewhere in this header value or path, or in a `Basic …`."""
    return _MARK in value or (value[:6].lower() == b"basic " and _MARK in _from_basic(value))
