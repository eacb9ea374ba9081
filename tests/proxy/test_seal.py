"""The seal: what a request looks like on the wire."""

import pytest
from mitmproxy.net.http.http1.assemble import assemble_request
from mitmproxy.proxy.layers.http import HTTPMode

from sluicegate.exchange.credentials import CREDENTIAL_HEADERS, take_credentials
from sluicegate.exchange.release import Release, Target, snapshot
from sluicegate.proxy.seal import seal
from sluicegate.testing import make_flow

SECRET = b"sk-secret"


def sealed(flow, target=None, *, mode=HTTPMode.transparent, h1=True, upgrade=False):  # type: ignore[no-untyped-def]
    target = target or Target(True, "api.anthropic.com", 443, credential=lambda _: [(b"x-api-key", SECRET)])
    before = flow.request.get_state()
    out = seal(flow.request, Release(target, snapshot(flow.request), upgrade), mode, h1_upstream=h1)
    assert flow.request.get_state() == before, "the flow itself is never changed"
    return out


def names(request) -> list[bytes]:  # type: ignore[no-untyped-def]
    return [k.lower() for k, _ in request.headers.fields]


def test_hop_by_hop_headers_stay_here() -> None:
    """Those of RFC 9110, 7.6.1 and those that Connection names, in any case; all others go on in their order."""
    hop = [
        (b"Connection", b"keep-alive, X-Mine"),
        (b"connection", b"x-other ,"),
        (b"X-MINE", b"1"),
        (b"X-Other", b"1"),
        (b"Keep-Alive", b"1"),
        (b"Proxy-Connection", b"1"),
        (b"TE", b"trailers"),
        (b"Trailer", b"x"),
        (b"Upgrade", b"h2c"),
        (b"HTTP2-Settings", b"x"),
    ]
    flow = make_flow(body=b"{}", headers=[(b"A", b"1"), *hop, (b"B", b"2"), (b"A", b"3")])
    out = sealed(flow)
    assert [f for f in out.headers.fields if f[0] in (b"A", b"B")] == [(b"A", b"1"), (b"B", b"2"), (b"A", b"3")]
    assert not {k.lower() for k, _ in hop} & set(names(out))


@pytest.mark.parametrize("named", [b"content-length", b"host", b"x-api-key"])
def test_connection_can_not_take_away_what_frames_a_request(named: bytes) -> None:
    """A client that names Content-Length or Host in Connection does not get a request without one."""
    out = sealed(make_flow(body=b"{}", headers=[(b"connection", named)]))
    assert [v for k, v in out.headers.fields if k.lower() == b"content-length"] == [b"2"]
    assert names(out).count(b"host") == 1
    assert names(out).count(b"x-api-key") == 1


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (Target(True, "h.test", 443), b"h.test"),
        (Target(True, "h.test", 8443), b"h.test:8443"),
        (Target(False, "h.test", 80), b"h.test"),
        (Target(False, "::1", 8080), b"[::1]:8080"),
        (Target(True, "b\u00fccher.test", 443), b"xn--bcher-kva.test"),
    ],
)
def test_the_host_is_the_targets(target: Target, host: bytes) -> None:
    """One Host header, whatever the client sent."""
    out = sealed(make_flow(headers=[(b"HOST", b"evil"), (b"Host", b"evil2")]), target)
    assert [v for k, v in out.headers.fields if k.lower() == b"host"] == [host]
    assert (out.host, out.port) == (target.host, target.port)
    assert assemble_request(out).startswith(b"POST /v1/messages HTTP/1.1\r\n")


@pytest.mark.parametrize("stated", [None, b"2", b"1", b"100", b"+2", b""])
def test_the_length_is_that_of_the_body(stated: bytes | None) -> None:
    """However a stage left it, the length on the wire is right: a wrong one could be read as two requests."""
    flow = make_flow()
    flow.request.data.content = b"{}"
    if stated is not None:
        flow.request.headers.fields = (*flow.request.headers.fields, (b"Content-Length", stated))
    else:
        flow.request.headers["transfer-encoding"] = "chunked"
    out = sealed(flow)
    assert [v for k, v in out.headers.fields if k.lower() == b"content-length"] == [b"2"]
    assert b"transfer-encoding" not in names(out)


def test_a_request_without_a_body_gets_no_length() -> None:
    """A GET stays one."""
    assert b"content-length" not in names(sealed(make_flow("GET")))


def test_the_credential_is_the_targets_alone() -> None:
    """Left-over credentials of any kind are dropped, in any case; the target's are put on."""
    left = [(name.upper(), b"old") for name in CREDENTIAL_HEADERS]
    out = sealed(make_flow(headers=left))
    assert [(k, v) for k, v in out.headers.fields if k.lower() in CREDENTIAL_HEADERS] == [(b"x-api-key", SECRET)]


@pytest.mark.parametrize("value", [b"a\r\nx: y", b"a\nb", b"a\0b", b"\r"])
def test_a_credential_can_not_carry_a_header_of_its_own(value: bytes) -> None:
    """CR, LF and NUL are refused, without quoting the value."""
    with pytest.raises(ValueError) as caught:
        sealed(make_flow(), Target(True, "h", 443, credential=lambda _: [(b"x-api-key", value)]))
    assert repr(value) not in str(caught.value)
    with pytest.raises(ValueError):
        sealed(make_flow(), Target(True, "h", 443, credential=lambda _: [(b"", b"x")]))


def test_the_absolute_form_is_for_plain_requests_through_a_proxy() -> None:
    """RFC 9112, 3.2.2: towards a proxy, without TLS; never towards an origin."""
    via = ("http", ("proxy.test", 3128))
    for target, absolute in [
        (Target(False, "h.test", 80, via=via), True),  # type: ignore[arg-type]
        (Target(True, "h.test", 443, via=via), False),  # type: ignore[arg-type]
        (Target(False, "h.test", 80), False),
    ]:
        line = assemble_request(sealed(make_flow(), target, mode=HTTPMode.upstream)).partition(b"\r\n")[0]
        assert line == (b"POST http://h.test/v1/messages HTTP/1.1" if absolute else b"POST /v1/messages HTTP/1.1")
    flow = make_flow()
    flow.request.authority = "old.test"
    assert assemble_request(sealed(flow)).startswith(b"POST /v1/messages ")


def test_http2() -> None:
    """Towards h2 there is an authority and no Host; towards h1 there is a Host."""
    flow = make_flow(body=b"{}")
    flow.request.http_version = "HTTP/2.0"
    out = sealed(flow, h1=False)
    assert b"host" not in names(out)
    assert out.authority == "api.anthropic.com"
    out = sealed(flow, h1=True)
    assert names(out).count(b"host") == 1
    assert out.copy().headers == out.headers


def test_an_upgrade_keeps_what_it_needs() -> None:
    """Only if it was released as one."""
    headers = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"Sec-WebSocket-Key", b"x")]
    assert {b"connection", b"upgrade", b"sec-websocket-key"} <= set(
        names(sealed(make_flow("GET", headers=headers), upgrade=True))
    )
    assert not {b"connection", b"upgrade"} & set(names(sealed(make_flow("GET", headers=headers))))


def test_taking_credentials() -> None:
    """They are taken in any case and any number; the others stay as they were, in order."""
    flow = make_flow(headers=[(b"A", b"1"), (b"X-API-KEY", b"k1"), (b"x-api-key", b"k2"), (b"Cookie", b"c"), (b"B", b"2")])
    before = flow.request.headers.fields
    taken = take_credentials(flow.request.headers)
    assert taken == ((b"X-API-KEY", b"k1"), (b"x-api-key", b"k2"), (b"Cookie", b"c"))
    assert flow.request.headers.fields == tuple(f for f in before if f not in taken)
    assert take_credentials(flow.request.headers) == ()
