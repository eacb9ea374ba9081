"""An HTTP/1 request's head, read by mitmproxy's rules and without its checks of types."""

from __future__ import annotations

import time

from mitmproxy import http

from sluicegate.exchange.fast_messages import fast_headers, unchecked
from sluicegate.proxy.mitmproxy_internals import read_header_fields, read_request_line

__all__ = ["read_request"]


def read_request(lines: list[bytes]) -> http.Request:
    """The request of these lines, as mitmproxy reads it, without its body. ValueError if it is malformed."""
    host, port, method, scheme, authority, path, version = read_request_line(lines[0])
    return unchecked(
        http.Request,
        http.RequestData,
        http_version=version,
        headers=fast_headers(read_header_fields(lines[1:]).fields),
        content=None,
        trailers=None,
        timestamp_start=time.time(),
        timestamp_end=None,
        host=host,
        port=port,
        method=method,
        scheme=scheme,
        authority=authority,
        path=path,
    )
