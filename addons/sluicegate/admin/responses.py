"""Responses of the gate's own endpoints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from mitmproxy import http

from sluicegate.exchange.bodies import ByteSource
from sluicegate.exchange.native_errors import native_response

__all__ = ["Answer", "error_answer", "json_answer"]

Answer = tuple[http.Response, ByteSource | None]
"""A response, and the source of its body if that arrives over time."""


def json_answer(value: Any, status: int = 200) -> Answer:
    """A JSON document that must not be cached or sniffed."""
    headers = {
        "content-type": "application/json",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    return http.Response.make(status, msgspec.json.encode(value), headers), None


def error_answer(status: int, message: str, fields: Iterable[tuple[bytes, bytes]] = ()) -> Answer:
    """An error in the format of the Messages API."""
    return native_response(status, message, fields=list(fields)), None
