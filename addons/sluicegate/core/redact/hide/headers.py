"""Request headers: finds values in them, and replaces these.

A header whose name indicates a credential is left alone: the client sends it to the server on purpose. In other headers (a
title, a user agent, a referer), a secret or an address is there by accident. Answers do not repeat headers, so nothing is
restored: a finding is replaced by a keyed hash, which needs no conversation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from sluicegate.core.redact.scan.finding import Finder, Finding
from sluicegate.core.wire.header_fields import HeaderFields

__all__ = ["HeaderFindings", "replace_in_headers", "scan_headers"]

HeaderFindings = Mapping[int, tuple[Finding, ...]]
"""The findings by index of the field."""

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


def scan_headers(fields: HeaderFields, finder: Finder) -> HeaderFindings:
    """The findings by field. All fields are scanned as one text first, which usually shows that there are none."""
    scanned = [(at, _text(value)) for at, (name, value) in enumerate(fields) if _is_scanned(name)]
    if not finder.find("\n".join(text for _, text in scanned)):
        return {}
    return {at: found for at, text in scanned if (found := finder.find(text))}


def replace_in_headers(fields: HeaderFields, found: HeaderFindings, name: Callable[[Finding, str], str]) -> HeaderFields:
    """The fields with each finding replaced by `name(finding, value)`."""
    return tuple(
        (key, _replaced(value, found[at], name) if at in found else value) for at, (key, value) in enumerate(fields)
    )


def _is_scanned(name: bytes) -> bool:
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
