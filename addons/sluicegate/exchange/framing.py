"""The head of an answer on its way to the client: framing that can show an unclean end, and the gate's headers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mitmproxy import http

from sluicegate.exchange.exchange import Exchange

__all__ = ["add_gateway_headers", "set_framing"]

_MOST_DROPPED: Final = 1000
_NO_CONTROLS: Final = dict.fromkeys(range(32), " ")


def set_framing(x: Exchange, response: http.Response) -> None:
    """Stream the answer through the taps, with a framing that can show an unclean end."""
    if x.request.method == "HEAD" or response.status_code in (204, 304):
        return  # no body
    response.stream = x.taps
    headers = response.headers
    if x.taps.changes:
        headers.pop("content-length", None)
        headers.pop("content-encoding", None)
    h1_client = x.flow.client_conn.alpn != b"h2"
    if not h1_client or "content-length" in headers:
        return
    if x.request.http_version == "HTTP/1.0":
        headers.pop("transfer-encoding", None)  # it ends with the connection
    else:
        headers["transfer-encoding"] = "chunked"


def add_gateway_headers(x: Exchange, response: http.Response) -> None:
    """Add the exchange's id, the number of attempts, and the request fields that the target's format cannot express."""
    response.headers["x-sluicegate-id"] = x.id
    if x.routing.failed_attempts:
        response.headers["x-sluicegate-attempts"] = str(x.routing.attempts_made)
    if x.answer is None and x.routing.translation and (dropped := x.routing.translation.dropped):
        response.headers["x-sluicegate-dropped"] = _header_of(dropped)


def _header_of(names: Sequence[str]) -> str:
    """What a request lost, as a header's value."""
    return ", ".join(names).encode("ascii", "replace").decode()[:_MOST_DROPPED].translate(_NO_CONTROLS)
