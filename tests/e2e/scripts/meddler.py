"""Addons that change a request as its headers say: by `x-meddle-early` before the gate's own turn, by `x-meddle` after.

`meddle_address` leads each connection elsewhere; `meddle_hold` (a path) holds it back until a file with that name is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from mitmproxy import ctx, http
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy import server_hooks


def _raise(_: http.HTTPFlow) -> None:
    raise RuntimeError("meddled")


def _replace(flow: http.HTTPFlow) -> None:
    flow.request = http.Request.make("POST", flow.request.url, b"meddled")


def _answer(flow: http.HTTPFlow) -> None:
    flow.response = http.Response.make(200, b"meddled")


def _set(name: str, value: object) -> Callable[[http.HTTPFlow], None]:
    return lambda flow: setattr(flow.request, name, value)


def _set_header(name: str, value: str) -> Callable[[http.HTTPFlow], None]:
    return lambda flow: flow.request.headers.__setitem__(name, value)


MEDDLE: dict[str, Callable[[http.HTTPFlow], None]] = {
    "body": _set("content", b'{"model":"claude-sonnet-4-5","meddled":true}'),
    "path": _set("path", "/v1/messages?meddled=1"),
    "method": _set("method", "PUT"),
    "host": _set("host", "localhost"),
    "port": lambda flow: setattr(flow.request, "port", int(flow.request.headers["x-meddle-port"])),
    "scheme": _set("scheme", "https"),
    "header": _set_header("x-meddled", "yes"),
    "credential": _set_header("x-api-key", "sk-meddled"),
    "trailers": _set("trailers", http.Headers(((b"x-meddled", b"yes"),))),
    "stream": _set("stream", True),
    "replace": _replace,
    "response": _answer,
    "raise": _raise,
}


def meddle(flow: http.HTTPFlow, header: str) -> None:
    if what := flow.request.headers.get(header):
        MEDDLE[what](flow)


class Early:
    """Before the gate: what it does is looked at by the stages."""

    def request(self, flow: http.HTTPFlow) -> None:
        meddle(flow, "x-meddle-early")


class Late:
    """After the gate: the request has been released by now."""

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if flow.request.headers.get("x-meddle") == "stream":
            flow.request.stream = True

    def request(self, flow: http.HTTPFlow) -> None:
        meddle(flow, "x-meddle")

    async def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        if ctx.options.meddle_hold:
            go = Path(ctx.options.meddle_hold)
            go.with_suffix(".held").touch()
            while not go.exists():
                await asyncio.sleep(0.02)
        if ctx.options.meddle_address:
            host, _, port = ctx.options.meddle_address.partition(":")
            data.server.address = (host, int(port))


class Meddler:
    def load(self, loader: Loader) -> None:
        loader.add_option("meddle_address", str, "", "")
        loader.add_option("meddle_hold", str, "", "")

    def running(self) -> None:
        if not ctx.master.addons.get("late"):
            ctx.master.addons.add(Late())


addons = [Meddler(), Early()]
