"""What the Cache reads from a request: its headers, its tenant, the input of its key, and a snippet."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from sluicegate.core.cachekey.cache_control import RETRY_HEADERS, is_retry
from sluicegate.core.cachekey.key import KeyInput, is_api_header, tenant_of
from sluicegate.exchange.exchange import Exchange

__all__ = ["CacheHeaders", "key_input_of", "snippet_of", "take_headers", "tenant"]

_SNIPPET = 80


@dataclass(slots=True)
class CacheHeaders:
    """A request's headers that matter to the cache."""

    version: str = ""
    betas: tuple[str, ...] = ()
    api_headers: tuple[str, ...] = ()
    cache_control: str = ""
    sluicegate_cache: str = ""
    has_sluicegate_cache: bool = False
    encoded: bool = False
    retry: bool = False
    """The client says that it has sent the request before."""


def take_headers(x: Exchange) -> CacheHeaders:
    """Read them in one pass, and remove the gate's own `x-sluicegate-cache`."""
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
                found.sluicegate_cache, found.has_sluicegate_cache = value.decode("latin-1"), True
            case b"content-encoding":
                found.encoded = True
            case _ if low in RETRY_HEADERS:
                found.retry = found.retry or is_retry(low, value)
            case _ if is_api_header(low):
                found.api_headers = (
                    *found.api_headers,
                    f"{low.decode('latin-1')}: {value.decode('utf-8', 'surrogateescape')}",
                )
    if found.has_sluicegate_cache:
        x.request.data.headers.fields = tuple(f for f in fields if f[0].lower() != b"x-sluicegate-cache")
    return found


def _scope(x: Exchange) -> str | None:
    """The cache scope of an identified caller: its team, else its key; None if only its credential identifies it."""
    caller = x.caller
    if caller is None or (caller.mode != "keys" and not (caller.team or caller.user)):
        return None
    return f"team:{caller.team}" if caller.team else f"key:{caller.key_id}"


def tenant(x: Exchange) -> bytes:
    """Whose cached answers this request may get."""
    return tenant_of(_scope(x), x.client_credentials)


def key_input_of(x: Exchange, model: str, headers: CacheHeaders, origin: str) -> KeyInput:
    """What the request's key is made of. `model`: the one that the first target will be asked for."""
    d = x.request.data
    return KeyInput(
        tenant(x),
        x.surface,
        model,
        d.content or b"",
        headers.version,
        headers.betas,
        headers.api_headers,
        d.path.partition(b"?")[2].decode("utf-8", "surrogateescape"),
        origin,
        x.session_id,
    )


class _Conversation(msgspec.Struct):
    messages: list[msgspec.Raw] = []


def snippet_of(body: bytes) -> str:
    """The first 80 characters of the last message, on one line; "" if there is none or it cannot be parsed."""
    try:
        messages = msgspec.json.decode(body, type=_Conversation).messages
        content = msgspec.json.decode(messages[-1])["content"] if messages else ""
        if isinstance(content, list):
            texts = [b.get("text") or b.get("content") for b in content if isinstance(b, dict)]
            content = next((t for t in reversed(texts) if isinstance(t, str)), "")
        text = " ".join(str(content)[: _SNIPPET * 4].split())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError, AttributeError):
        return ""
    return "".join(c if c.isprintable() else "?" for c in text)[:_SNIPPET]
