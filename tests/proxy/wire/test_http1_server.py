"""proxy/wire/http1_server.py: malformed requests get native errors, and nothing quotes them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kits.http1 import KEY, answer, request
from kits.playbook import Playbook
from kits.transcript import Closed, FromClient, ToClient, Transcript
from sluicegate.gate.chain import Chain
from sluicegate.proxy.wire.http1_server import UNREADABLE
from sluicegate.stages import Router
from sluicegate.testing import chain_of


@pytest.fixture
def chain() -> Iterator[Chain]:
    with chain_of(Router) as chain:
        yield chain


async def test_requests_that_cannot_be_read_are_answered_natively(chain: Chain) -> None:
    """400 and 431 in JSON, without quoting what came."""
    book = Playbook(chain)
    await book.client(b"GET / HTTP/1.1\r\nbad header " + KEY + b"\r\n\r\n")
    assert book.to_client.startswith(b"HTTP/1.1 400")
    assert b"invalid_request_error" in book.to_client
    assert KEY not in book.to_client
    book = Playbook(chain)
    for _ in range(300):
        await book.client(b"x" * 1024)
        if book.to_client:
            break
    assert book.to_client.startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("head", [b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"])
async def test_a_malformed_head_says_what_to_look_for(chain: Chain, head: bytes) -> None:
    """One native 400, and the end of the connection."""
    await (Transcript(Playbook(chain)) >> FromClient(head) << ToClient(UNREADABLE.encode()) << Closed("client"))


async def test_a_malformed_body_is_answered_before_the_connection_ends(chain: Chain) -> None:
    """Stock closes it without an answer."""
    head = b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    book = Playbook(chain)
    await book.client(head + b"not a length\r\n")
    assert book.to_client.count(b"HTTP/1.1 400") == 1
    assert book.context.client in book.closed
    assert book.sent == {}


async def test_a_head_that_was_cut_off_is_not_logged(chain: Chain, caplog: pytest.LogCaptureFixture) -> None:
    """With its credential in it."""
    book = Playbook(chain)
    await book.client(request()[:90])
    await book.client_leaves()
    assert KEY.decode() not in caplog.text
    assert book.sent == {}


async def test_requests_follow_each_other(chain: Chain) -> None:
    """In one read or in single bytes: each is answered, in order, on one connection."""
    for cut in (1, 10_000):
        book = Playbook(chain)
        for body in (b"{}", b'{"n":2}'):
            whole = request()
            for at in range(0, len(whole), cut):
                await book.client(whole[at : at + cut])
            await book.server(answer(body))
            assert book.to_client.endswith(body)
        assert book.closed == []
