"""`/monitor`: a live feed of finished calls as server-sent events; `last-event-id` resumes it."""

from __future__ import annotations

from mitmproxy import http

from sluicegate.admin.ports import AdminPolicy
from sluicegate.admin.responses import Answer, error_answer
from sluicegate.exchange.bodies import ByteSource
from sluicegate.exchange.exchange import Exchange
from sluicegate.services.telemetry.monitor import Monitor

__all__ = ["MonitorPage"]


class MonitorPage:
    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def __call__(self, x: Exchange, policy: AdminPolicy) -> Answer:
        if self._monitor.is_full:
            return error_answer(503, "/monitor has reached its maximum number of subscribers")
        source = ByteSource()
        self._monitor.subscribe(source, _event_id(x.request.headers.get("last-event-id", "")))
        response = http.Response.make(200, b"", {"content-type": "text/event-stream", "cache-control": "no-store"})
        response.headers.pop("content-length", None)
        if x.flow.client_conn.alpn != b"h2":
            response.headers["transfer-encoding"] = "chunked"
        return response, source


def _event_id(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
