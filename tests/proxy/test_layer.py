"""proxy/layer.py: what leaves is what was released; read as transcripts of bytes."""

from collections.abc import Iterator
from typing import Any

import pytest
from mitmproxy import http

from kits.http1 import BODY, KEY, Without, answer, request
from kits.playbook import Playbook
from sluicegate.exchange.exchange import exchange_of
from sluicegate.exchange.release import Target
from sluicegate.gate.chain import Chain
from sluicegate.stages import Router
from sluicegate.testing import chain_of, planted


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def chain(log: list[str]) -> Iterator[Chain]:
    with chain_of(planted("outer", log), Router) as chain:
        yield chain


async def test_a_released_request_goes_out_and_its_answer_comes_back(chain: Chain, log: list[str]) -> None:
    """The server sees its own Host and the client's key; the flow never holds the key; the connection goes on."""
    book = Playbook(chain)
    for _ in range(2):
        book.to_client = b""
        await book.client(request())
        assert book.to_server.endswith(BODY)
        await book.server(answer(b'{"type":"message"}', b"Content-Type: application/json"))
        assert book.to_client.endswith(b'{"type":"message"}')
        assert KEY not in bytes(book.flow.request.headers)
    assert len(book.sent) == 1
    head = book.to_server.partition(b"\r\n\r\n")[0].lower()
    assert b"host: api.test\r\n" in head
    assert b"x-api-key: " + KEY in head
    assert b"localhost" not in head
    assert log.count("outer.settle") == 2
    assert book.closed == []


async def test_nothing_leaves_without_a_release(chain: Chain) -> None:
    """If the hooks do not run, or end without a release, no server is dialled; the client gets a native error."""
    for hook in ("requestheaders", "request"):
        book = Playbook(chain)
        book.chain = Without(chain, hook)  # type: ignore[assignment]
        await book.client(request())
        assert book.sent == {}
        assert b'"api_error"' in book.to_client
        assert KEY not in book.to_client


@pytest.mark.parametrize(
    "edit",
    [
        lambda f: setattr(f.request, "content", b"edited"),
        lambda f: setattr(f.request, "path", "/v1/other"),
        lambda f: f.request.headers.__setitem__("x-new", "1"),
        lambda f: setattr(f.request, "host", "evil.test"),
    ],
)
async def test_an_edit_after_the_release_is_stopped(chain: Chain, edit: Any) -> None:
    """Another addon changes the request after the release: it does not leave."""

    class Meddler(Without):
        def request(self, flow: http.HTTPFlow) -> Any:
            waiting = self._chain.request(flow)
            edit(flow)
            return waiting

    book = Playbook(chain)
    book.chain = Meddler(chain, "")  # type: ignore[assignment]
    await book.client(request())
    assert book.to_server == b""
    assert b"changed after its release" in book.to_client
    assert book.flow.metadata["sluicegate"]["outcome"] == "denied"
    assert chain.services.alarms["seal.denied"] == 1


async def test_a_server_that_cannot_be_reached(chain: Chain) -> None:
    """A native 502; the next request tries again."""
    book = Playbook(chain, connect_error="connection refused")
    await book.client(request())
    assert book.to_client.startswith(b"HTTP/1.1 502")
    assert b'"api_error"' in book.to_client
    assert book.flow.metadata["sluicegate"]["outcome"] == "failed"
    book.connect_error, book.to_client = None, b""
    await book.client(request())
    await book.server(answer(b"{}"))
    assert book.to_client.endswith(b"{}")


async def test_the_exchange_is_let_go_of(chain: Chain) -> None:
    """After a clean end nothing hangs on the flow."""
    book = Playbook(chain)
    await book.client(request())
    await book.server(answer(b"{}"))
    assert exchange_of(book.flow) is None


@pytest.mark.parametrize("error", [ValueError("sk-secret"), KeyboardInterrupt()])
async def test_a_credential_that_cannot_be_had_stops_the_request(log: list[str], error: BaseException) -> None:
    """Sealing fails at the last moment: no byte leaves, the client gets a native 500 that says nothing of the secret."""

    def credential(_: http.Request) -> Any:
        raise error

    def choose(x: Any) -> None:
        x.routing.target = Target(False, "api.test", 80, credential=credential)

    with chain_of(planted("outer", log), planted("router", log, does={"request": choose})) as chain:
        book = Playbook(chain)
        await book.client(request())
        assert book.to_server == b""
        assert book.to_client.startswith(b"HTTP/1.1 500")
        assert b"sk-secret" not in book.to_client
        assert book.flow.metadata["sluicegate"]["outcome"] == "denied"
        assert log.count("outer.settle") == 1
