"""core/redact/walk/decode_body.py: encoded request bodies are decoded up to a limit."""

from __future__ import annotations

import gzip

import pytest

from sluicegate.core.redact.walk.decode_body import BodyTooLarge, decode_body
from sluicegate.core.redact.walk.json_document import Unreadable


def test_a_body_is_decoded() -> None:
    """A plain body is unchanged; the limit applies to the decoded body."""
    assert decode_body(b"abc", "", 3) == decode_body(gzip.compress(b"abc"), "GZIP", 3) == b"abc"
    for raw, encoding in ((b"abcd", "identity"), (gzip.compress(b"abcd"), "gzip"), (gzip.compress(bytes(10**8)), "gzip")):
        with pytest.raises(BodyTooLarge):
            decode_body(raw, encoding, 3)
    for raw, encoding in ((b"abc", "gzip"), (gzip.compress(b"a")[:-2], "gzip"), (b"abc", "rot13")):
        with pytest.raises(Unreadable):
            decode_body(raw, encoding, 9)
