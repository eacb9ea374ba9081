"""Anthropic's Messages API, and every base URL that speaks it."""

from __future__ import annotations

from typing import Final

from sluicegate.errors import Refused
from sluicegate.providers.base import Credential, is_loopback

__all__ = ["BASE_URL", "HOSTS", "credential_of", "forwarded"]

BASE_URL: Final = "https://api.anthropic.com"
HOSTS: Final = frozenset({"api.anthropic.com"})
"""Hosts that the regular door decrypts."""

_OWN: Final = ("anthropic.com", "claude.com", "claude.ai")
_FORWARDED: Final = frozenset({b"x-api-key", b"authorization", b"cookie"})


def credential_of(key: str) -> Credential:
    """The header that presents our own key. A subscription's token goes as Bearer, an API key as x-api-key."""
    if key.startswith("sk-ant-oat"):
        return ((b"authorization", b"Bearer " + key.encode()),)
    return ((b"x-api-key", key.encode()),)


def forwarded(presented: Credential, host: str) -> Credential:
    """The client's own credential, as it may go to `host`.

    A subscription's token (told by its prefix, whatever header it came in) goes to Anthropic's own hosts only, or to this
    machine; Refused otherwise, with nothing sent.
    """
    kept = tuple(f for f in presented if f[0].lower() in _FORWARDED)
    subscription = any(b"sk-ant-oat" in value for _, value in kept)
    if subscription and not _anthropics_own(host) and not is_loopback(host):
        raise Refused(
            401,
            f"a subscription login is only passed on to Anthropic's own hosts, not to {host}; "
            "use an API key, or set providers.<name>.keys for this provider",
            should_retry=False,
        )
    return kept


def _anthropics_own(host: str) -> bool:
    host = host.lower().rstrip(".")
    return any(host == own or host.endswith("." + own) for own in _OWN)
