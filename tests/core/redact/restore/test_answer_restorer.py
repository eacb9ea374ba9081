"""core/redact/restore/answer_restorer.py: encoded bodies are decoded within a limit."""

from __future__ import annotations

import gzip

import pytest

from sluicegate.core.redact.hide.placeholder_map import PlaceholderMap
from sluicegate.core.redact.hide.placeholders import GRAMMARS
from sluicegate.core.redact.restore.answer_restorer import answer_restorer
from sluicegate.core.redact.restore.content_blocks import RestoreReport
from sluicegate.core.redact.restore.event_stream import EventStreamRestorer
from sluicegate.core.redact.restore.json_answer import JsonAnswerRestorer
from sluicegate.core.redact.restore.tool_policy import ToolPolicy
from sluicegate.core.redact.walk.decode_body import BodyTooLarge, decode_body
from sluicegate.core.redact.walk.json_document import Unreadable

NAMES = PlaceholderMap(GRAMMARS["angle"], {"A_1": "secret"})


def test_unpacked() -> None:
    """As it is, or decoded; the limit holds for what comes out."""
    assert decode_body(b"abc", "", 3) == decode_body(gzip.compress(b"abc"), "GZIP", 3) == b"abc"
    for raw, encoding in ((b"abcd", "identity"), (gzip.compress(b"abcd"), "gzip"), (gzip.compress(bytes(10**8)), "gzip")):
        with pytest.raises(BodyTooLarge):
            decode_body(raw, encoding, 3)
    for raw, encoding in ((b"abc", "gzip"), (gzip.compress(b"a")[:-2], "gzip"), (b"abc", "rot13")):
        with pytest.raises(Unreadable):
            decode_body(raw, encoding, 9)


def test_restorers_by_type() -> None:
    """Streams and JSON have one; other types, and encodings that nobody knows, do not."""

    def of(kind: str, encoding: str = "") -> object:
        return answer_restorer(kind, encoding, NAMES, ToolPolicy(), RestoreReport())

    assert isinstance(of("text/event-stream; charset=utf-8"), EventStreamRestorer)
    assert isinstance(of("Application/JSON"), JsonAnswerRestorer)
    assert of("application/json", "br") is not None
    assert of("text/html") is of("") is of("application/json", "rot13") is None


def test_an_encoded_answer_is_restored() -> None:
    """However it is cut."""
    packed = gzip.compress(b'{"type":"message","content":[{"type":"text","text":"<A_1>"}]}')
    for size in (1, 7, 1000):
        restorer = answer_restorer("application/json", "gzip", NAMES, ToolPolicy(), RestoreReport())
        assert restorer is not None
        out = b"".join(restorer.feed(packed[i : i + size]) for i in range(0, len(packed), size)) + restorer.end()
        assert b'"secret"' in out
