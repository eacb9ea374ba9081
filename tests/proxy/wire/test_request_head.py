"""proxy/wire/request_head.py: its requests are the same as mitmproxy's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy.net.http import http1

from sluicegate.proxy.wire.request_head import read_request

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
    """Any head gives the request that mitmproxy's own reader gives, or is refused if that one refuses it."""
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
