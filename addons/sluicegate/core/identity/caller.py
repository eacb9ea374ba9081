"""The caller of an exchange, and the credentials in a request that identify it."""

from __future__ import annotations

import base64
import re
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
"""Every virtual key begins with it, so that a key is recognized wherever it appears."""

_BASE64: Final = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
"""b64decode takes more, and how much more depends on the patch version of Python."""
_MARK: Final = KEY_PREFIX.encode()
_HEADERS: Final = (b"x-api-key", b"authorization", b"api-key", b"x-goog-api-key")
"""Headers in which clients send their key, by precedence (as in Anthropic's API)."""

_PROVIDER_KEYS: Final = (
    *(b"sk-", b"AIza", b"ya29.", b"gsk_", b"xai-", b"csk-", b"fw_", b"nvapi-", b"pplx-", b"hf_"),
    *(b"ghu_", b"ABSK", b"AKIA", b"ASIA", b"AWS4-HMAC-SHA256"),
)
"""Prefixes of the keys of known vendors."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What the gate knows of a caller. Holds no secret: all of it may be logged and shown."""

    key_id: str
    """Stable and public: the virtual key's id (it survives a rotation), else a keyed hash of the credential, else
    "anonymous". Never a key."""
    name: str | None = None
    team: str | None = None
    user: str | None = None
    project: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    """Cost centres and the like; the key's own tags override its team's."""
    models: tuple[str, ...] = ()
    """Patterns (`*` for any part) of the models that the caller may ask for; () for all."""
    budget_usd: Mapping[Period, float] | None = None
    """The key's own budget in US dollars per period, or None."""
    mode: Mode = "open"
    """How the caller was identified: by an unverified credential (open, passthrough) or by a virtual key (keys)."""

    def may_ask_for(self, model: str | None) -> bool:
        """Whether the caller may use this model. None stands for an unreadable model: allowed only if all models are."""
        return not self.models or (model is not None and matches_any(self.models, model))


@dataclass(frozen=True, slots=True)
class TeamDefaults:
    """Defaults for the keys of a team."""

    project: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()


def presented_keys(fields: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """The keys in a request's credential headers, by precedence of the header, without the word Bearer."""
    found = [(_HEADERS.index(name), value) for k, value in fields if (name := k.lower()) in _HEADERS]
    return [_bare(value) for _, value in sorted(found, key=lambda f: f[0])]


def _bare(value: bytes) -> bytes:
    value = value.strip()
    return value[7:].strip() if value[:7].lower() == b"bearer " else value


def proxy_password(fields: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The password of a `Proxy-Authorization: Basic …` (RFC 7617), whatever the user; None if there is none.

    None also if the header is repeated: it would be arbitrary which one counts.
    """
    values = [v for k, v in fields if k.lower() == b"proxy-authorization"]
    if len(values) != 1 or values[0][:6].lower() != b"basic ":
        return None
    _, _, password = _from_basic(values[0]).partition(b":")
    return password or None


def _from_basic(value: bytes) -> bytes:
    """The decoded `Basic …` value; b"" if it is not base64."""
    text = value[6:].strip()
    return base64.b64decode(text) if _BASE64.fullmatch(text) else b""


def is_provider_key(key: bytes) -> bool:
    """Whether this looks like a vendor's key and not like a virtual key."""
    return key.startswith(_PROVIDER_KEYS) and not key.startswith(_MARK)


def may_hold_key(values: Iterable[bytes]) -> bool:
    """A fast check before `holds_key` on each value: False is certain."""
    text = b"\n".join(values)
    return _MARK in text or b"basic " in text.lower()


def holds_key(value: bytes) -> bool:
    """Whether this header value or path contains a virtual key, in base64 (`Basic …`) too."""
    return _MARK in value or (value[:6].lower() == b"basic " and _MARK in _from_basic(value))
