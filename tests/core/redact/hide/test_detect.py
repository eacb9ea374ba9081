"""redact/walk/other_bodies.py: bodies that are no Messages request, and URLs, read in each way that they may be meant."""

from __future__ import annotations

import json

import pytest

from kits.hiding import Rules
from sluicegate.core.redact.hide.detect import detect_in_body, detect_in_url
from sluicegate.core.redact.walk.body_shapes import FREE

KEY = "sk-abcdefgh1"


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"deep": [{KEY: 1}]}).encode(),
        json.dumps({"a": KEY}).replace("-", "\\u002d").encode(),
        (json.dumps({"a": KEY}).replace("-", "\\u002D") + "\n{}").encode(),
        f'{{"a":"{KEY}","a":"x"}}'.encode(),
        b"\xff\xfe" + KEY.encode(),
        KEY.encode("utf-16"),
        KEY.encode("utf-32"),
    ],
)
def test_bodies(body: bytes) -> None:
    """JSON with escapes, lines of JSON, a hidden first value, binary, other charsets."""
    found, first = detect_in_body(body, FREE, Rules())
    assert found == {"api_key": 1}
    assert first is not None
    assert KEY not in first.path


def test_a_clean_body() -> None:
    """Nothing found, nothing said."""
    assert detect_in_body(b"\x00\x01 hello", FREE, Rules()) == ({}, None)


@pytest.mark.parametrize("url", [f"/v1/x?k={KEY}", "/v1/%73k-abcdefgh1", "/?mail=ann%40corp.com&x=1", f"/{KEY}"])
def test_urls(url: str) -> None:
    """As they are, and decoded."""
    assert detect_in_url(url, Rules())[1] is not None
    assert detect_in_url("/v1/messages?beta=true", Rules()) == ({}, None)
