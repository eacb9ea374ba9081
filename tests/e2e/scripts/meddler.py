"""Addons that change a request as its `x-meddle` header says: `early` ones before the gate's own turn, `late` ones after."""

from __future__ import annotations

from mitmproxy import ctx, http
from mitmproxy.proxy import server_hooks


def meddle(flow: http.HTTPFlow, what: str) -> None:
    request = flow.request
    match what:
        case "body":
            request.content = b'{"model":"claude-sonnet-4-5","meddled":true}'
        case "path":
            request.path = "/v1/messages?meddled=1"
        case "method":
            request.method = "PUT"
        case "host":
            request.host = "localhost"
        case "port":
            request.port = int(request.headers["x-meddle-port"])
        case "scheme":
            request.scheme = "https"
        case "header":
            request.headers["x-meddled"] = "yes"
        case "credential":
            request.headers["x-api-key"] = "sk-meddled"
        case "trailers":
            request.trailers = http.Headers(((b"x-meddled", b"yes"),))
        case "stream":
            request.stream = True
        case "replace":
            flow.request = http.Request.make("POST", request.url, b"meddled")
        case "response":
            flow.response = http.Response.make(200, b"meddled")
        case "raise":
            raise RuntimeError("meddled")


class Early:
    """Before the gate: what it does is looked at by the stages."""

    def request(self, flow: http.HTTPFlow) -> None:
        meddle(flow, flow.request.headers.get("x-meddle-early", ""))


class Late:
    """After the gate: the request has been released by now."""

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if flow.request.headers.get("x-meddle") == "stream":
            flow.request.stream = True

    def request(self, flow: http.HTTPFlow) -> None:
        meddle(flow, flow.request.headers.get("x-meddle", ""))

    async def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        if ctx.options.meddle_address:
            host, _, port = ctx.options.meddle_address.partition(":")
            data.server.address = (host, int(port))


class Meddler:
    def load(self, loader: object) -> None:
        loader.add_option("meddle_address", str, "", "")  # type: ignore[attr-defined]

    def running(self) -> None:
        if not ctx.master.addons.get("late"):
            ctx.master.addons.add(Late())


addons = [Meddler(), Early()]
