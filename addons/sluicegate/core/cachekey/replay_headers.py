"""Which headers of a recorded answer are replayed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["REPLACED_ID", "replayable_headers"]

Fields = Sequence[tuple[bytes, bytes]]

REPLACED_ID: Final = b"x-sluicegate-original-request-id"
"""A replay gives the recorded call's request id under this name."""

_DROPPED: Final = frozenset(
    {
        # of the connection and its framing (RFC 9110, 7.6.1); a replay is not encoded
        b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
        b"content-length", b"content-encoding", b"alt-svc", b"via", b"strict-transport-security",
        # of that one request
        b"date", b"age", b"expires", b"set-cookie", b"request-id", b"x-request-id", b"cf-ray", b"cf-cache-status",
        b"server-timing", b"traceresponse", b"x-envoy-upstream-service-time", b"retry-after", b"retry-after-ms",
        b"x-should-retry", b"nel", b"report-to",
        # about credentials
        b"www-authenticate", b"proxy-authenticate", b"anthropic-organization-id", b"openai-organization", b"openai-project",
    }
)  # fmt: skip
_DROPPED_PREFIXES: Final = (
    b"anthropic-ratelimit-", b"x-ratelimit-", b"x-sluicegate-", b"proxy-", b"x-amzn-requestid", b"x-amz-cf-",
)  # fmt: skip


def replayable_headers(fields: Fields) -> list[tuple[bytes, bytes]]:
    """An answer's headers that are still true in a replay; the request id under another name."""
    connection = {t.strip().lower() for k, v in fields if k.lower() == b"connection" for t in v.split(b",")}
    kept: list[tuple[bytes, bytes]] = []
    for name, value in fields:
        low = name.lower()
        if low in (b"request-id", b"x-request-id") and not any(k == REPLACED_ID for k, _ in kept):
            kept.append((REPLACED_ID, value))
        elif low not in _DROPPED and low not in connection and not low.startswith(_DROPPED_PREFIXES):
            kept.append((name, value))
    return kept
