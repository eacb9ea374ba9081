"""The seal: what may leave, and how it looks on the wire.

A request leaves only under a matching Release (see `exchange/release.py`). What is sent is a copy: the released request
with hop-by-hop headers taken off, `Host` set to the target, and the target's credential put on. The flow itself never holds
a credential.
"""

from __future__ import annotations

from typing import Final

from mitmproxy import http
from mitmproxy.net.http import url
from mitmproxy.proxy.layers.http import HTTPMode

from sluicegate.core.wire.header_fields import HeaderFields
from sluicegate.exchange.credentials import CREDENTIAL_HEADERS
from sluicegate.exchange.release import Release

__all__ = ["seal"]

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
"""RFC 9110, 7.6.1; `Connection` may name more."""


def _dropped(fields: HeaderFields) -> frozenset[bytes]:
    named = [v for k, v in fields if k.lower() == b"connection"]
    if not named:
        return HOP_BY_HOP
    return HOP_BY_HOP | {t.strip().lower() for v in named for t in v.split(b",")}


def seal(
    request: http.Request, release: Release, mode: HTTPMode, *, h1_upstream: bool, proxy_auth: bytes | None = None
) -> http.Request:
    """The request as it goes on the wire to the release's target. Raises ValueError if it cannot be sent."""
    d, target = request.data, release.target
    bare = f"[{target.host}]" if ":" in target.host else target.host  # RFC 3986, 3.2.2: an IPv6 address
    host = url.hostport("https" if target.tls else "http", bare, target.port).encode("idna")
    secret = tuple(release.target.credential(request))
    skip = _dropped(d.headers.fields) | CREDENTIAL_HEADERS | {k.lower() for k, _ in secret} | {b"host"}
    keep = [f for f in d.headers.fields if f[0].lower() not in skip]
    body = d.content or b""
    size = b"%d" % len(body)
    stated = [v for k, v in keep if k.lower() == b"content-length"]
    if stated and stated != [size]:  # a stage changed the body: a wrong length would let it be read as two requests
        keep = [f for f in keep if f[0].lower() != b"content-length"]
    if stated != [size] and (body or stated or any(k.lower() == b"transfer-encoding" for k, _ in d.headers.fields)):
        keep.append((b"content-length", size))
    if release.upgrade:
        keep += [f for f in d.headers.fields if f[0].lower() in (b"connection", b"upgrade")]
    fields = ((b"host", host), *keep, *secret) if h1_upstream or not request.is_http2 else (*keep, *secret)
    for name, value in secret:
        if b"\n" in value or b"\r" in value or b"\0" in value or not name:
            raise ValueError("the credential contains characters that a header cannot carry")
    absolute = mode is HTTPMode.upstream and not target.tls and target.via is not None
    if absolute and proxy_auth:
        fields = (*fields, (b"proxy-authorization", proxy_auth))
    authority = host if absolute or request.is_http2 else b""
    return _request(d, host=target.host, port=target.port, authority=authority, fields=fields, tls=target.tls)


def _request(
    d: http.RequestData, *, host: str, port: int, authority: bytes, fields: HeaderFields, tls: bool
) -> http.Request:
    # http.Request(...) checks the type of every field, 33 µs a time; what comes in here is typed already
    headers = http.Headers.__new__(http.Headers)
    headers.fields = fields
    data = http.RequestData.__new__(http.RequestData)
    data.__dict__.update(d.__dict__)
    data.host, data.port, data.authority, data.headers = host, port, authority, headers
    data.scheme = b"https" if tls else b"http"
    request = http.Request.__new__(http.Request)
    request.data = data
    return request
