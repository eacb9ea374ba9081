"""Requests, responses and headers that are cheap to make: nobody can tell them from mitmproxy's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy.net.http import http1

from sluicegate.exchange.fast_messages import (
    LeanHeaders,
    lean_headers,
    lean_response,
    read_request,
)

NAMES = st.sampled_from([b"a", b"A", b"b", b"content-length", b"Content-Length", b"x\xff", b"X\xff"])
FIELDS = st.lists(st.tuples(NAMES, st.binary(max_size=5)), max_size=6).map(tuple)
ASKED = st.sampled_from(["a", "A", b"a", "b", "CONTENT-LENGTH", b"x\xff", "x\udcff", "c", ""])


@given(FIELDS, ASKED)
def test_headers_say_what_stock_headers_say(fields: tuple[tuple[bytes, bytes], ...], name: str | bytes) -> None:
    """Whatever fields there are and whatever name is asked for, in any case: every look gives what stock's gives."""
    lean, stock = lean_headers(fields), http.Headers(fields)
    assert lean.get_all(name) == stock.get_all(name)
    assert lean.get(name) == stock.get(name)
    assert lean.get(name, "other") == stock.get(name, "other")
    assert (name in lean) == (name in stock)
    assert list(lean.items(multi=True)) == list(stock.items(multi=True))
    assert lean == stock
    lean[name or "z"] = stock[name or "z"] = "new"
    assert lean.fields == stock.fields
    lean.pop("b", None)
    stock.pop("b", None)
    assert lean.fields == stock.fields
    assert bytes(lean) == bytes(stock)
    assert lean.copy().get_state() == stock.get_state()
    assert lean.get_state() == stock.get_state()


def test_what_is_no_name_is_not_there() -> None:
    """Asking for something that is no name finds nothing."""
    assert 3 not in LeanHeaders([(b"a", b"1")])


HEADS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"GET / HTTP/1.1",
                b"POST http://api.test:81/v1/messages?beta=true HTTP/1.1",
                b"CONNECT api.test:443 HTTP/1.1",
                b"OPTIONS * HTTP/1.0",
                b"Host: api.test",
                b"x-api-key:  k ",
                b" folded",
                b": nameless",
                b"no colon",
            ]
        ),
        st.binary(min_size=1, max_size=12),
    ),
    min_size=1,
    max_size=5,
)


@given(HEADS)
def test_a_head_is_read_as_stock_reads_it(lines: list[bytes]) -> None:
    """Any head gives the request that mitmproxy's own reader gives, or is refused where that one refuses it."""
    try:
        stock = http1.read_request_head(lines)
    except ValueError:
        with pytest.raises(ValueError):
            read_request(lines)
        return
    lean = read_request(lines)
    lean.timestamp_start = stock.timestamp_start
    assert lean.get_state() == stock.get_state()
    assert http.Request.from_state(lean.get_state()).get_state() == stock.get_state()


def test_a_response_is_as_good_as_stocks() -> None:
    """It has the same state, goes through a saved flow, and prints."""
    fields = ((b"content-type", b"application/json"),)
    stock = http.Response(b"HTTP/1.1", 200, b"OK", http.Headers(fields), b"", None, 1.0, None)
    lean = lean_response(200, b"OK", fields, 1.0)
    assert lean.get_state() == stock.get_state()
    assert lean.copy().get_state() == stock.get_state()
    assert repr(lean) == repr(stock)
