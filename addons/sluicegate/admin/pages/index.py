"""`/`: a short page of where to look, for a person who opens the gate's address."""

from __future__ import annotations

from collections.abc import Iterable

from mitmproxy import http

from sluicegate.admin.ports import AdminPolicy
from sluicegate.admin.responses import Answer
from sluicegate.exchange.exchange import Exchange

__all__ = ["IndexPage"]

_TEXT = """\
This is Sluicegate, a gateway to LLM providers.

clients        ANTHROPIC_BASE_URL=http://{host}
               OPENAI_BASE_URL=http://{host}/v1
pages          {open}
for operators  {admin}
commands       sluicegate stats, sluicegate monitor, sluicegate --help
"""


class IndexPage:
    """Plain text that names pages only, as any client may read it."""

    def __init__(self, open_pages: Iterable[str], admin_pages: Iterable[str]) -> None:
        self._open, self._admin = " ".join(open_pages), " ".join(admin_pages)

    def __call__(self, x: Exchange, policy: AdminPolicy) -> Answer:
        host = x.client_host if x.client_host.isprintable() else ""
        text = _TEXT.format(host=host[:100] or "HOST:PORT", open=self._open, admin=self._admin)
        headers = {
            "content-type": "text/plain; charset=utf-8",
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        }
        return http.Response.make(200, text.encode(), headers), None
