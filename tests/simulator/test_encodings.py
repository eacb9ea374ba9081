import zlib
from typing import Any

import brotli
import pytest

from sluicegate.core.wire import zstd
from sluicegate.simulator.encodings import encoder, negotiate


def decoder(coding: str) -> Any:
    if coding == "gzip":
        return zlib.decompressobj(31).decompress
    if coding == "br":
        return brotli.Decompressor().process
    return zstd.decompressor(23).decompress


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_every_event_can_be_read_when_it_comes(coding) -> None:
    """Each feed is flushed: its decoded bytes are there at once."""
    source, sink = encoder(coding), decoder(coding)
    for part in (b"one", b"two" * 100, b"three"):
        assert sink(source.feed(part)) == part
    assert sink(source.finish()) == b""


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("stream", [False, True])
def test_answers_are_encoded_as_told(client, coding, stream) -> None:
    """Whatever the client accepts; the content is the same."""
    answer = client.ask(f"encoding={coding}", stream=stream)
    assert answer.headers["content-encoding"] == coding
    assert decoder(coding)(answer.body) == client.ask(stream=stream).body


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("br, gzip", "br"),
        ("gzip;q=0, zstd", "zstd"),
        ("deflate", "identity"),
        ("", "identity"),
    ],
)
def test_auto_takes_what_the_client_accepts(accept, coding) -> None:
    """The first known coding of accept-encoding."""
    assert negotiate("auto", accept) == coding


def test_auto_over_the_wire(client) -> None:
    """encoding=auto reads accept-encoding."""
    assert client.ask("encoding=auto", accept="gzip").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in client.ask("encoding=auto").headers
