"""The client's credentials: taken off the flow as soon as the headers have arrived, put back only at the seal."""

from __future__ import annotations

from typing import Final

from mitmproxy import http

from sluicegate.core.wire.header_fields import HeaderFields

__all__ = ["CREDENTIAL_HEADERS", "take_credentials"]

CREDENTIAL_HEADERS: Final = frozenset(
    {
        b"x-api-key",
        b"api-key",
        b"authorization",
        b"proxy-authorization",
        b"cookie",
        b"x-goog-api-key",
        b"x-amz-security-token",
        b"x-sluicegate-admin",
    }
)
"""Request headers that authenticate someone. Taken off the flow as soon as the headers are there."""


def take_credentials(headers: http.Headers) -> HeaderFields:
    """Take the client's credentials off the headers; returns what was taken."""
    fields = headers.fields
    taken = tuple(f for f in fields if f[0].lower() in CREDENTIAL_HEADERS)
    if taken:
        headers.fields = tuple(f for f in fields if f[0].lower() not in CREDENTIAL_HEADERS)
    return taken
