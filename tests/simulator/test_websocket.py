import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.simulator.websocket import EchoStream, accept_key, frame


def masked(opcode: int, payload: bytes, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    plain = bytearray(frame(opcode, payload))
    plain[1] |= 0x80
    head = len(plain) - len(payload)
    return bytes(plain[:head]) + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def test_the_handshake_is_rfc_6455s_example() -> None:
    """Section 1.3."""
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("size", [0, 5, 125, 126, 70_000])
def test_text_comes_back(size) -> None:
    """Whatever its length."""
    assert EchoStream().feed(masked(1, b"x" * size)) == (frame(1, b"x" * size), False)


@given(st.integers(1, 20))
def test_any_chunking_gives_the_same_frames(size: int) -> None:
    """Text, ping and close, cut anywhere."""
    raw = masked(1, b"hello") + masked(9, b"p") + masked(8, b"\x03\xe8")
    stream, out, done = EchoStream(), b"", False
    for start in range(0, len(raw), size):
        answer, done = stream.feed(raw[start : start + size])
        out += answer
    assert out == frame(1, b"hello") + frame(10, b"p") + frame(8, b"\x03\xe8")
    assert done


def test_over_the_wire(sim, client) -> None:
    """101, echo, close."""
    with client.connect() as sock:
        sock.sendall(
            b"GET /_sim/ws HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: a\r\n\r\n"
            + masked(1, b"early")
        )
        received = b""
        while not received.endswith(frame(1, b"early")):
            received += sock.recv(1000)
        assert received.startswith(b"HTTP/1.1 101 ")
        sock.sendall(masked(8, b""))
        assert sock.recv(100) == frame(8, b"")
        assert sock.recv(100) == b""


def test_without_an_upgrade_it_is_refused(client) -> None:
    """A plain GET gets 426."""
    assert client.request("GET", "/_sim/ws").status == 426
