"""A separate flow for each failed attempt, so that mitmweb and mitmproxy's console show it beside the exchange.

Only if there is a view: a copy of the request as that attempt sent it (a flow never holds credentials), its response or
error, and a comment that names the exchange.
"""

from __future__ import annotations

from typing import Any

from mitmproxy import ctx, http
from mitmproxy import flow as mflow

from sluicegate.exchange.call import Failure
from sluicegate.exchange.exchange import Exchange

__all__ = ["show_failed_attempt"]

MARK = ":repeat:"


def show_failed_attempt(x: Exchange, failure: Failure) -> None:
    """Add the latest failed attempt to the view, if there is one."""
    view: Any = ctx.master.addons.get("view")
    if view is None:
        return
    target = str(x.routing.target) if x.routing.target else "?"
    flow = http.HTTPFlow(x.flow.client_conn.copy(), x.flow.server_conn.copy())
    flow.request = x.flow.request.copy()
    flow.timestamp_created = x.flow.timestamp_created
    flow.marked = MARK
    flow.comment = f"{x.id}, attempt {len(x.routing.failed_attempts) + 1}: {failure.cause} at {target}"
    flow.metadata["sluicegate"] = {"attempt_of": x.id, "target": target, "cause": failure.cause, "status": failure.status}
    if failure.headers is not None and failure.status is not None:
        headers = failure.headers.copy()
        for name in ("content-encoding", "transfer-encoding", "content-length"):
            headers.pop(name, None)  # the body as kept is decoded and may be incomplete
        flow.response = http.Response.make(failure.status, failure.body, headers)
    else:
        flow.error = mflow.Error(failure.message)
    view.add([flow])
