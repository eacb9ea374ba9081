"""Requests, responses and headers that are cheap to make: nobody can tell them from mitmproxy's own."""

from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http

from sluicegate.exchange.fast_messages import (
    FastHeaders,
    fast_headers,
    fast_response,
)

NAMES = st.sampled_from([b"a", b"A", b"b", b"content-length", b"Content-Length", b"x\xff", b"X\xff"])
FIELDS = st.lists(st.tuples(NAMES, st.binary(max_size=5)), max_size=6).map(tuple)
ASKED = st.sampled_from(["a", "A", b"a", "b", "CONTENT-LENGTH", b"x\xff", "x\udcff", "c", ""])


@given(FIELDS, ASKED)
def test_headers_say_what_stock_headers_say(fields: tuple[tuple[bytes, bytes], ...], name: str | bytes) -> None:
    """Whatever fields there are and whatever name is asked for, in any case: every look gives what stock's gives."""
    lean, stock = fast_headers(fields), http.Headers(fields)
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
    assert 3 not in FastHeaders([(b"a", b"1")])


def test_a_response_is_as_good_as_stocks() -> None:
    """It has the same state, goes through a saved flow, and prints."""
    fields = ((b"content-type", b"application/json"),)
    stock = http.Response(b"HTTP/1.1", 200, b"OK", http.Headers(fields), b"", None, 1.0, None)
    lean = fast_response(200, b"OK", fields, 1.0)
    assert lean.get_state() == stock.get_state()
    assert lean.copy().get_state() == stock.get_state()
    assert repr(lean) == repr(stock)
