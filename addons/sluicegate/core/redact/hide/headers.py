"""Header fields of a request: what is found in their values, and the fields without it.

A header whose name says that it holds a credential is left alone: whoever sends it means the server to have it. In all
others (a title, a user agent, a referer) a secret or an address is there by accident. Nothing comes back from them,
so that what was found is named by a keyed hash, which needs no conversation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from sluicegate.core.redact.scan.finding import Finder, Finding

__all__ = ["HeaderFindings", "Headers", "replace_in_headers", "scan_headers"]

Headers = tuple[tuple[bytes, bytes], ...]
HeaderFindings = Mapping[int, tuple[Finding, ...]]
"""Which fields, by their place, and what is in their values."""

_OF_THE_WIRE: Final = frozenset(
    (
        b"host",
        b"content-length",
        b"content-type",
        b"content-encoding",
        b"transfer-encoding",
        b"connection",
        b"accept-encoding",
    )
)
_CREDENTIAL: Final = re.compile(
    rb"auth|token|secret|key|cookie|credential|password|signature|assertion|jwt|cert", re.IGNORECASE
)


def scan_headers(fields: Headers, finder: Finder) -> HeaderFindings:
    """What is found, by field. One look at all of them together tells most often that there is nothing."""
    looked_at = [(at, _text(value)) for at, (name, value) in enumerate(fields) if _concerns(name)]
    if not finder.find("\n".join(text for _, text in looked_at)):
        return {}
    return {at: found for at, text in looked_at if (found := finder.find(text))}


def replace_in_headers(fields: Headers, found: HeaderFindings, name: Callable[[Finding, str], str]) -> Headers:
    """The fields with a name in the place of each find; `name(finding, value)`."""
    return tuple(
        (key, _replaced(value, found[at], name) if at in found else value) for at, (key, value) in enumerate(fields)
    )


def _concerns(name: bytes) -> bool:
    return name.lower() not in _OF_THE_WIRE and _CREDENTIAL.search(name) is None


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _replaced(value: bytes, found: tuple[Finding, ...], name: Callable[[Finding, str], str]) -> bytes:
    text, done = _text(value), 0
    out: list[str] = []
    for f in found:
        out += text[done : f.start], name(f, text[f.start : f.end])
        done = f.end
    out.append(text[done:])
    return "".join(out).encode("utf-8", "surrogateescape")
