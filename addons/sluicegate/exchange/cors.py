"""CORS: pages of other origins that may call the gate from a browser. Without `cors.origins` nothing here does anything.

Fetch standard, "CORS protocol": the answer names the one origin that asked. Keys travel in headers, cookies never do, so no
answer allows credentials.
"""

from __future__ import annotations

import re
from typing import Final

from mitmproxy import http

from sluicegate.exchange.exchange import Exchange

__all__ = ["add_cors_headers", "preflight", "response_fields"]

_MAX_AGE_S: Final = 600
_METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_NAMES: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{0,2048}")  # RFC 9110, 5.6.2: a list of header names
_EXPOSED: Final = (
    b"request-id, retry-after, x-should-retry, x-sluicegate-id, x-sluicegate-attempts, x-sluicegate-cache, "
    b"anthropic-organization-id, anthropic-ratelimit-requests-limit, anthropic-ratelimit-requests-remaining, "
    b"anthropic-ratelimit-requests-reset, anthropic-ratelimit-tokens-limit, anthropic-ratelimit-tokens-remaining, "
    b"anthropic-ratelimit-tokens-reset, anthropic-ratelimit-input-tokens-limit, "
    b"anthropic-ratelimit-input-tokens-remaining, anthropic-ratelimit-input-tokens-reset, "
    b"anthropic-ratelimit-output-tokens-limit, anthropic-ratelimit-output-tokens-remaining, "
    b"anthropic-ratelimit-output-tokens-reset, x-sluicegate-budget, x-sluicegate-model, x-sluicegate-dropped"
)
_OURS: Final = "access-control-"


def _origin(x: Exchange) -> str | None:
    """The origin that asks, if it may."""
    origins = x.policy.settings.cors.origins
    given = x.request.headers.get_all("origin") if origins else []
    return given[0] if len(given) == 1 and given[0] in origins else None


def preflight(x: Exchange) -> http.Response | None:
    """The answer to a preflight of an allowed origin; None for any other request."""
    headers = x.request.headers
    if x.request.method != "OPTIONS" or "access-control-request-method" not in headers or not (origin := _origin(x)):
        return None
    asked = headers.get("access-control-request-headers", "")
    fields = [
        (b"access-control-allow-origin", origin.encode()),
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-max-age", b"%d" % _MAX_AGE_S),
        (b"vary", b"origin, access-control-request-headers"),
    ]
    if asked and _NAMES.fullmatch(asked):
        fields.append((b"access-control-allow-headers", asked.encode()))
    return http.Response.make(204, b"", http.Headers(fields))


def response_fields(x: Exchange) -> list[tuple[bytes, bytes]]:
    """The header fields that let the requesting page read the answer; for other origins, what caches must know."""
    if not x.policy.settings.cors.origins:
        return []
    fields = [(b"vary", b"origin")]
    if origin := _origin(x):
        fields += [(b"access-control-allow-origin", origin.encode()), (b"access-control-expose-headers", _EXPOSED)]
    return fields


def add_cors_headers(x: Exchange, response: http.Response) -> None:
    """Replace the provider's CORS headers by ours."""
    headers = response.headers
    if "access-control-max-age" in headers and response is x.answer:
        return  # a preflight's answer has its own
    fields = response_fields(x)
    if len(fields) > 1:
        headers.fields = tuple(f for f in headers.fields if not f[0].lower().startswith(_OURS.encode()))
    if fields:
        headers.fields = (*headers.fields, *fields)
