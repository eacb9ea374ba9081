"""Header fields for providers outside the Messages API: an SDK's own headers are not passed on."""

from __future__ import annotations

from typing import Final

from sluicegate.core.wire.header_fields import HeaderFields

__all__ = ["plain_fields"]

_KEPT: Final = frozenset({b"user-agent", b"traceparent", b"tracestate"})


def plain_fields(fields: HeaderFields, accept: str, *, also: frozenset[bytes] = frozenset()) -> HeaderFields:
    """The few fields that are passed on. The answer is requested uncompressed, because the gate reads it."""
    kept = tuple(f for f in fields if f[0].lower() in _KEPT or f[0].lower() in also)
    ours = ((b"content-type", b"application/json"), (b"accept", accept.encode()), (b"accept-encoding", b"identity"))
    return (*kept, *ours)
