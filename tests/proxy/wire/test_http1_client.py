"""proxy/wire/http1_client.py: interim answers, trailers and floods neither cost the answer nor fill the memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from h11._receivebuffer import ReceiveBuffer

from kits.playbook import Playbook
from sluicegate.core.formats.first_look import MAX_HELD
from sluicegate.gate.chain import Chain
from sluicegate.proxy.wire.http1_server import MAX_HEAD
from sluicegate.stages import Router
from sluicegate.testing import chain_of

ASK = b"POST /v1/messages HTTP/1.1\r\nHost: localhost:4000\r\nx-api-key: k\r\nContent-Length: 2\r\n\r\n{}"
BODY = b'{"type":"message"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


@pytest.fixture
def chain() -> Iterator[Chain]:
    with chain_of(Router) as chain:
        yield chain


@pytest.mark.parametrize("interim", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
@pytest.mark.parametrize("step", [1, 7, 1000])
async def test_interim_answers_are_read_and_forgotten(chain: Chain, interim: bytes, step: int) -> None:
    """However they are cut, and however many: the client gets the answer, and the connection serves the next request."""
    book = Playbook(chain)
    wire = (b"HTTP/1.1 " + interim + b"\r\nlink: </style.css>\r\n\r\n") * 3 + ANSWER
    for _ in range(2):
        book.to_client = b""
        await book.client(ASK)
        for at in range(0, len(wire), step):
            await book.server(wire[at : at + step])
        assert book.to_client.startswith(b"HTTP/1.1 200 OK")
        assert book.to_client.count(b"HTTP/1.1") == 1
        assert book.to_client.endswith(BODY)
    assert len(book.sent) == 1


@pytest.mark.parametrize("step", [1, 1000])
async def test_trailers_are_dropped(chain: Chain, step: int) -> None:
    """Fields after a chunked body: the answer is whole, and the connection goes on."""
    book = Playbook(chain)
    chunk = b"%x\r\n%s\r\n" % (len(BODY), BODY)
    wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\nx-checksum: 1\r\n\r\n"
    for _ in range(2):
        book.to_client = b""
        await book.client(ASK)
        for at in range(0, len(wire), step):
            await book.server(wire[at : at + step])
        assert book.to_client.endswith(b"}\r\n0\r\n\r\n")
    assert book.closed == []


async def test_a_head_without_end_is_not_collected(chain: Chain) -> None:
    """After so many bytes the attempt has failed, and the connection is closed."""
    book = Playbook(chain)
    await book.client(ASK)
    await book.server(b"HTTP/1.1 200 OK\r\n")
    for _ in range(MAX_HEAD // 50_000 + 1):
        await book.server(b"x-flood: " + b"x" * 50_000 + b"\r\n")
    assert book.to_client.startswith(b"HTTP/1.1 502")
    assert b"longer than" in book.to_client
    assert len(book.closed) == 1


@pytest.mark.parametrize("flood", [b"5;" + b"x" * MAX_HEAD, b"0\r\n" + b"x: y\r\n" * (MAX_HEAD // 5)])
async def test_bytes_between_chunks_are_bounded(chain: Chain, flood: bytes) -> None:
    """A chunk's extensions and trailers have an end as well: an answer that is passed on breaks visibly."""
    book = Playbook(chain)
    await book.client(ASK)
    await book.server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await book.server(b"%x\r\n{%s\r\n" % (MAX_HELD + 1, b" " * MAX_HELD))
    await book.server(flood)
    assert b"\r\n0\r\n\r\n" not in book.to_client
    assert book.context.client in book.closed


async def test_unsolicited_bytes_are_not_logged(chain: Chain, caplog: pytest.LogCaptureFixture) -> None:
    """A server that sends more than its answer loses its connection; the bytes are kept out of the log."""
    caplog.set_level(logging.DEBUG)
    book = Playbook(chain)
    await book.client(ASK)
    await book.server(ANSWER + b"HTTP/1.1 200 OK\r\n\r\na secret")
    assert book.to_client.endswith(BODY)
    assert len(book.closed) == 1
    assert "a secret" not in caplog.text


async def test_many_interim_answers_are_looked_at_in_place(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands in one piece: what still waits is not copied for each of them."""
    copies = 0
    stock = ReceiveBuffer.__bytes__

    def counted(self: ReceiveBuffer) -> bytes:
        nonlocal copies
        copies += 1
        return bytes(stock(self))

    monkeypatch.setattr(ReceiveBuffer, "__bytes__", counted)
    book = Playbook(chain)
    await book.client(ASK)
    await book.server(b"HTTP/1.1 100 Continue\r\n\r\n" * 3000 + ANSWER)
    assert book.to_client.endswith(BODY)
    assert copies < 10
