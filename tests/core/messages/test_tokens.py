"""core/messages/tokens.py: about how many input tokens a request has."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kits.recorded import recordings
from sluicegate.core.messages.tokens import estimate_input_tokens, image_size

Json = dict[str, Any]


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x02\0\0\0"


def jpeg(width: int, height: int) -> bytes:
    exif = b"\xff\xe1" + struct.pack(">H", 10) + b"Exif\0\0\0\0"
    return b"\xff\xd8" + exif + b"\xff\xff\xc2" + struct.pack(">HBHHB", 17, 8, height, width, 3) + b"\0" * 9


def webp(kind: bytes, rest: bytes) -> bytes:
    return b"RIFF\0\0\0\0WEBP" + kind + b"\0\0\0\0" + rest.ljust(20, b"\0")


IMAGES = {
    "png": png(640, 480),
    "gif": b"GIF89a" + struct.pack("<HH", 640, 480) + b"\0\0\0",
    "jpeg": jpeg(640, 480),
    "webp, lossy": webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 640, 480)),
    "webp, lossless": webp(b"VP8L", b"\x2f" + struct.pack("<I", 639 | 479 << 14)),
    "webp, extended": webp(b"VP8X", b"\0\0\0\0" + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")),
}


@pytest.mark.parametrize("data", IMAGES.values(), ids=IMAGES)
def test_the_size_of_an_image_stands_in_its_head(data: bytes) -> None:
    """Width and height, of each format that the Messages API takes."""
    assert image_size(data) == (640, 480)


@given(
    st.binary(max_size=64),
    st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xe1", b"RIFF1234WEBP", b"GIF89a", png(1, 1)[:16]]),
)
def test_a_broken_image_has_no_size_or_any(data: bytes, head: bytes) -> None:
    """Never an exception, never an endless walk."""
    image_size(head + data)


def message(*content: Json) -> Json:
    return {"messages": [{"role": "user", "content": list(content)}]}


def image(data: bytes) -> Json:
    return {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": base64.b64encode(data).decode()},
    }


def estimate(body: Json) -> int:
    return estimate_input_tokens(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"messages": [{"role": "user", "content": "a" * 35}]}, 14),
        ({"system": "a" * 35, "messages": []}, 10),
        ({"system": [{"type": "text", "text": "a" * 35}]}, 10),
        (message({"type": "text", "text": "ä" * 35}), 24),
        (message({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "a" * 35}]}), 14),
        (message({"type": "tool_use", "id": "t", "name": "f", "input": {"a": "b" * 20}}), 14),
        ({"tools": [{"name": "f", "input_schema": {}, "cache_control": {"type": "ephemeral"}}]}, 349),
        (message(image(png(750, 100))), 104),
        (message(image(png(5000, 5000))), 1604),
        (message({"type": "image", "source": {"type": "url", "url": "https://example.com/" + "a" * 5000}}), 1604),
        (message({"type": "document", "source": {"type": "text", "data": "a" * 35}, "title": "b" * 35}), 24),
        (message({"type": "thinking", "thinking": "a" * 35, "signature": "s" * 500}), 14),
        ({}, 1),
    ],
)
def test_what_counts(body: Json, tokens: int) -> None:
    """Text by its bytes, images by their size; signatures, ids and marks of the prompt cache do not count."""
    assert estimate(body) == tokens


def test_a_pdf_counts_by_its_pages() -> None:
    """By the pages that show, else by its size."""
    pages = base64.b64encode(b"%PDF /Type /Pages /Type /Page /Type/Page ").decode()
    document = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": pages}}
    assert estimate(message(document)) == 2 * 2300 + 4
    document["source"]["data"] = base64.b64encode(b"x" * 120_000).decode()  # type: ignore[index]
    assert estimate(message(document)) == 3 * 2300 + 4


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"[" * 100_000, b'{"messages": [1, {"content": [1, {"type": []}]}], "tools": 1}']
)
def test_any_body_has_an_estimate(body: bytes) -> None:
    """At least 1, whatever the body is."""
    assert estimate_input_tokens(body) >= 1


COUNTED = [r for r in recordings("anthropic-json") if r.status == 200 and b"input_tokens" in r.body]


@pytest.mark.skipif(not COUNTED, reason="the recorded exchanges are not part of this checkout")
def test_it_is_about_right() -> None:
    """Over real requests of text and tools the estimate is within half of what Anthropic counted."""
    for recording in COUNTED:
        usage = json.loads(recording.body)["usage"]
        counted = sum(usage.get(k) or 0 for k in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"))
        guess = estimate_input_tokens(json.dumps(json.loads(recording.request)["body"]).encode())
        assert counted / 2 <= guess <= counted * 2, recording.id
