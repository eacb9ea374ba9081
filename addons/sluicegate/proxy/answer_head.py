"""What the head of an answer says, before anything of it is passed on."""

from __future__ import annotations

from mitmproxy import http
from mitmproxy.net.http.validate import validate_headers

from sluicegate.exchange.exchange import Exchange
from sluicegate.proxy.first_event import asks_for_stream

__all__ = ["follows_pings", "lacks_stream", "native_status", "unfit"]


def unfit(x: Exchange, response: http.Response, *, validate: bool) -> str | None:
    """Why the head cannot be passed on, or None. `validate`: mitmproxy's option `validate_inbound_headers`."""
    release = x.routing.release
    if response.status_code == 101 and not (release and release.upgrade):
        return "the upstream switched protocols unasked"
    try:
        if validate:
            validate_headers(response)
    except ValueError:
        return "the head of the upstream's answer is malformed"
    return None


def lacks_stream(x: Exchange, response: http.Response) -> bool:
    """Whether the request asked for a stream, and neither the provider nor its translation makes one of this answer."""
    if not (asks_for_stream(x) and x.routing.translation):
        return False
    return "event" not in x.routing.translation.content_type(response)


def native_status(x: Exchange, response: http.Response) -> int:
    """The status that the answer means: some providers report an overload with a 200 or a 400."""
    translation = x.routing.translation
    return translation.native_status(response) if translation else response.status_code


def follows_pings(x: Exchange | None, response: http.Response) -> bool:
    """Whether the answer can go on behind the pings that opened an event stream."""
    if response.status_code != 200:
        return False
    translation = x.routing.translation if x else None
    content_type: str = translation.content_type(response) if translation else response.headers.get("content-type", "")
    return "event-stream" in content_type
