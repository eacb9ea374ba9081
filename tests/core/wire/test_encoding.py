"""Content encodings: all of them, any chunking, truncation, bombs."""

import contextlib
import gzip
import resource
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.wire import zstd
from sluicegate.core.wire.encoding import (
    DecodeError,
    Truncated,
    UnknownEncoding,
    decoder,
)


def raw_deflate(data: bytes) -> bytes:
    c = zlib.compressobj(wbits=-15)
    return c.compress(data) + c.flush()


ENCODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}
ALL = [*ENCODERS.items(), ("deflate", raw_deflate)]


def decode(name: str, *chunks: bytes, limit: int = 1 << 30) -> bytes:
    d = decoder(name, limit)
    return b"".join(d.feed(c) for c in chunks) + d.end()


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted(c % (len(data) + 1) for c in cuts)
    return [data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True)]


@pytest.mark.parametrize(("name", "encode"), ALL)
@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 1000), max_size=8))
def test_however_the_bytes_are_cut_they_decode_the_same(name, encode, data, cuts) -> None:  # type: ignore[no-untyped-def]
    """Every encoding, any chunking, empty chunks too."""
    encoded = encode(data)
    assert decode(name, *cut(encoded, cuts)) == data
    assert decode(name, *(encoded[i : i + 1] for i in range(len(encoded)))) == data


@pytest.mark.parametrize(("name", "encode"), ALL)
def test_large_bodies(name, encode) -> None:  # type: ignore[no-untyped-def]
    """Output much larger than one piece comes out whole, however little input it needs."""
    data = b"event: ping\n\n" * 500_000
    assert decode(name, encode(data)) == data


@pytest.mark.parametrize(("name", "encode"), ALL)
def test_a_stream_is_decoded_as_it_comes(name, encode) -> None:  # type: ignore[no-untyped-def]
    """What was flushed by the sender is there before the end."""
    if name == "br":
        c = brotli.Compressor()
        first = c.process(b"hello") + c.flush()
    elif name == "zstd":
        first = zstd.compressor().feed(b"hello")
    else:
        wbits = {"deflate": 15 if encode is zlib.compress else -15}.get(name, 31)
        o = zlib.compressobj(wbits=wbits)
        first = o.compress(b"hello") + o.flush(zlib.Z_SYNC_FLUSH)
    d = decoder(name)
    assert d.feed(first) == b"hello"
    with pytest.raises(Truncated):
        d.end()


@pytest.mark.parametrize(("name", "encode"), ALL)
def test_truncation_is_told(name, encode) -> None:  # type: ignore[no-untyped-def]
    """Cut off anywhere, a body is never taken for whole; an empty one is empty."""
    encoded = encode(b"some text that is long enough " * 3)
    for n in range(1, len(encoded)):
        with pytest.raises(Truncated):
            decode(name, encoded[:n])
    assert decode(name) == b""
    assert decode(name, b"") == b""


@pytest.mark.parametrize(("name", "encode"), ALL)
def test_bombs_are_noticed_before_they_are_held(name, encode) -> None:  # type: ignore[no-untyped-def]
    """A body that decodes to gigabytes is refused at the limit; memory stays near it."""
    if name == "br":
        c = brotli.Compressor(quality=5)
        bomb = b"".join(c.process(bytes(1 << 24)) for _ in range(32)) + c.finish()
    elif name == "zstd":
        z = zstd.compressor()
        bomb = b"".join(z.feed(bytes(1 << 24)) for _ in range(32)) + z.finish()
    else:
        bomb = encode(bytes(1 << 26))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DecodeError, match="the decoded body is too large"):
        decode(name, bomb, limit=1 << 22)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 128 * 1024


@pytest.mark.parametrize("name", ENCODERS)
@given(data=st.binary(min_size=1, max_size=60))
def test_garbage_is_a_decode_error(name: str, data: bytes) -> None:
    """Bytes that are not what the header says raise DecodeError and nothing else."""
    with contextlib.suppress(DecodeError):
        decode(name, data)


@given(cuts=st.lists(st.integers(0, 200), max_size=5))
def test_gzip_members_follow_each_other(cuts: list[int]) -> None:
    """Several members are one body (RFC 1952, 2.2); zeros behind them are padding; anything else is not."""
    body = gzip.compress(b"one") + gzip.compress(b"") + gzip.compress(b"two")
    assert decode("gzip", *cut(body, cuts)) == b"onetwo"
    assert decode("gzip", *cut(body + bytes(20), cuts)) == b"onetwo"
    with pytest.raises(DecodeError):
        decode("gzip", *cut(body + b"garbage", cuts))
    with pytest.raises(DecodeError):
        decode("deflate", *cut(zlib.compress(b"x") + b"more", cuts))


def test_zstd_frames_follow_each_other() -> None:
    """Several frames are one body (RFC 8878, 3.1)."""
    one, two = (zstd.compress(x) for x in (b"one", b"two"))
    assert decode("zstd", one + two) == b"onetwo"
    assert decode("zstd", one, two) == b"onetwo"
    with pytest.raises(DecodeError):
        decode("zstd", one + b"garbage")


def test_zstd_windows_are_bounded() -> None:
    """A frame that asks for more than 8 MiB of window (RFC 9659) is not decoded."""
    frame = zstd.compressor(window_log=27)
    data = frame.feed(b"x" * 1000) + frame.finish()
    with pytest.raises(DecodeError):
        decode("zstd", data)


def test_stacked_encodings() -> None:
    """Encodings on top of each other are taken off in reverse; a truncated inner one is told, too."""
    body = brotli.compress(gzip.compress(b"hello"))
    assert decode("gzip, br", body) == b"hello"
    assert decode(" GZIP ,identity, , Br", *(body[i : i + 1] for i in range(len(body)))) == b"hello"
    with pytest.raises(Truncated):
        decode("gzip, br", brotli.compress(gzip.compress(b"hello")[:-3]))


def test_a_limit_holds_for_each_layer() -> None:
    """A bomb inside a small archive is noticed, too."""
    with pytest.raises(DecodeError):
        decode("gzip, gzip", gzip.compress(gzip.compress(bytes(1 << 24))), limit=1 << 20)


@pytest.mark.parametrize("name", ["compress", "gzip, rot13", "\x00", "x" * 5000, ", ".join(["gzip"] * 6)])
def test_unknown_encodings(name: str) -> None:
    """Named, shortened, and never guessed."""
    with pytest.raises(UnknownEncoding) as caught:
        decoder(name)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize("name", ["", "identity", "Identity", " ,"])
def test_no_encoding(name: str) -> None:
    """Bytes pass as they are."""
    assert decode(name, b"a", b"b") == b"ab"
