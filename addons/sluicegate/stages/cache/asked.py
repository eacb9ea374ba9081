"""What the Cache reads of a request: its headers, whose it is, and how it begins."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from sluicegate.core.cachekey.key import Asked, speaks_to_api, tenant_of
from sluicegate.exchange.exchange import Exchange

__all__ = ["CacheHeaders", "asked_of", "snippet_of", "take_headers", "tenant"]

_SNIPPET = 80


@dataclass(slots=True)
class CacheHeaders:
    """What the cache reads of a request's headers."""

    version: str = ""
    betas: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    cache_control: str = ""
    own: str = ""
    has_own: bool = False
    encoded: bool = False


def take_headers(x: Exchange) -> CacheHeaders:
    """In one pass, as most requests have a dozen headers; the gate's own is taken off."""
    found = CacheHeaders()
    fields = x.request.data.headers.fields
    for name, value in fields:
        match low := name.lower():
            case b"anthropic-version":
                found.version = value.decode("utf-8", "surrogateescape")
            case b"anthropic-beta":
                found.betas = (*found.betas, value.decode("utf-8", "surrogateescape"))
            case b"cache-control":
                found.cache_control += "," + value.decode("latin-1")
            case b"x-sluicegate-cache":
                found.own, found.has_own = value.decode("latin-1"), True
            case b"content-encoding":
                found.encoded = True
            case _ if speaks_to_api(low):
                found.more = (*found.more, f"{low.decode('latin-1')}: {value.decode('utf-8', 'surrogateescape')}")
    if found.has_own:
        x.request.data.headers.fields = tuple(f for f in fields if f[0].lower() != b"x-sluicegate-cache")
    return found


def _scope(x: Exchange) -> str | None:
    """Whose answers a known caller may see: its team's, else its own; None where only its credential tells it apart."""
    caller = x.caller
    if caller is None or (caller.mode != "keys" and not (caller.team or caller.user)):
        return None
    return f"team:{caller.team}" if caller.team else f"key:{caller.key_id}"


def tenant(x: Exchange) -> bytes:
    """Whose answers this request may see."""
    return tenant_of(_scope(x), x.client_credentials)


def asked_of(x: Exchange, model: str, headers: CacheHeaders, origin: str) -> Asked:
    """The request as it decides the answer. `model`: what the first target is asked for."""
    d = x.request.data
    return Asked(
        tenant(x),
        x.surface,
        model,
        d.content or b"",
        headers.version,
        headers.betas,
        headers.more,
        d.path.partition(b"?")[2].decode("utf-8", "surrogateescape"),
        origin,
        x.session_id,
    )


class _Asking(msgspec.Struct):
    messages: list[msgspec.Raw] = []


def snippet_of(body: bytes) -> str:
    """The beginning of the last message, on one line; "" where there is none that can be read."""
    try:
        messages = msgspec.json.decode(body, type=_Asking).messages
        content = msgspec.json.decode(messages[-1])["content"] if messages else ""
        if isinstance(content, list):
            texts = [b.get("text") or b.get("content") for b in content if isinstance(b, dict)]
            content = next((t for t in reversed(texts) if isinstance(t, str)), "")
        text = " ".join(str(content)[: _SNIPPET * 4].split())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError, AttributeError):
        return ""
    return "".join(c if c.isprintable() else "?" for c in text)[:_SNIPPET]
