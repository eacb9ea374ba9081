"""proxy/write_watch.py: whether the upstream reads the request."""

from typing import Any

import pytest
from mitmproxy.connection import Server

from sluicegate.proxy import mitmproxy_internals as internals
from sluicegate.proxy.write_watch import WriteWatch


class Transport:
    def __init__(self, size: int) -> None:
        self.size, self.aborted = size, False

    def get_write_buffer_size(self) -> int:
        return self.size

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
def server() -> Server:
    return Server(address=("api.test", 443))


def use(monkeypatch: pytest.MonkeyPatch, transport: Transport | None) -> None:
    found: Any = lambda *_: transport  # noqa: E731
    monkeypatch.setattr(internals, "transport_of", found)


def test_a_request_that_was_taken_at_once_is_not_watched(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Nor is one whose connection has no socket any more."""
    for transport in (Transport(0), None):
        use(monkeypatch, transport)
        watch = WriteWatch()
        assert not watch.start("c", server)
        assert watch.unsent == 0


def test_one_that_is_read_slowly_is_not_stuck(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """As long as some of it was read since the last look; it is not watched once all of it was."""
    transport = Transport(100)
    use(monkeypatch, transport)
    watch = WriteWatch()
    assert watch.start("c", server)
    for left in (60, 1, 0):
        transport.size = left
        assert not watch.is_stuck("c", server)
        assert watch.unsent == left


def test_one_of_which_nothing_is_read_is_stuck(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Whatever it was before."""
    transport = Transport(100)
    use(monkeypatch, transport)
    watch = WriteWatch()
    watch.start("c", server)
    transport.size = 50
    assert not watch.is_stuck("c", server)
    assert watch.is_stuck("c", server)


@pytest.mark.parametrize(("alpn", "aborted"), [(None, True), (b"http/1.1", True), (b"h2", False)])
def test_what_was_not_read_is_dropped(
    monkeypatch: pytest.MonkeyPatch, server: Server, alpn: bytes | None, aborted: bool
) -> None:
    """With its connection, unless that carries other requests as well."""
    transport = Transport(100)
    use(monkeypatch, transport)
    server.alpn = alpn
    WriteWatch.drop("c", server)
    assert transport.aborted is aborted
