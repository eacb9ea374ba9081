"""The yardstick's only script: bare mitmdump with streamed answers, as in `mitmdump -s bench/stream_all.py`."""

from mitmproxy import http


def responseheaders(flow: http.HTTPFlow) -> None:
    assert flow.response
    flow.response.stream = True
