"""An ordinary mitmproxy script whose hooks raise for each call: mitmproxy logs that and goes on."""

from mitmproxy import http


def requestheaders(flow: http.HTTPFlow) -> None:
    _crash(flow)


def request(flow: http.HTTPFlow) -> None:
    _crash(flow)


def responseheaders(flow: http.HTTPFlow) -> None:
    _crash(flow)


def _crash(flow: http.HTTPFlow) -> None:
    if flow.request.path.startswith("/v1/"):
        raise RuntimeError("crashing on purpose")
