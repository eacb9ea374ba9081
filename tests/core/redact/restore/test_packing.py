"""core/redact/restore/packing.py: encoded bodies are decoded within a limit."""

from __future__ import annotations

import gzip

import pytest

from sluicegate.core.redact.hide.placeholders import GRAMMARS
from sluicegate.core.redact.restore.answer import DocumentRestorer
from sluicegate.core.redact.restore.blocks import Report
from sluicegate.core.redact.restore.packing import TooLarge, restorer_for, unpacked
from sluicegate.core.redact.restore.restore import Names
from sluicegate.core.redact.restore.stream import StreamRestorer
from sluicegate.core.redact.restore.tools import ToolPolicy
from sluicegate.core.redact.walk.document import Unreadable

NAMES = Names(GRAMMARS["angle"], {"A_1": "secret"})


def test_unpacked() -> None:
    """As it is, or decoded; the limit holds for what comes out."""
    assert unpacked(b"abc", "", 3) == unpacked(gzip.compress(b"abc"), "GZIP", 3) == b"abc"
    for raw, encoding in ((b"abcd", "identity"), (gzip.compress(b"abcd"), "gzip"), (gzip.compress(bytes(10**8)), "gzip")):
        with pytest.raises(TooLarge):
            unpacked(raw, encoding, 3)
    for raw, encoding in ((b"abc", "gzip"), (gzip.compress(b"a")[:-2], "gzip"), (b"abc", "rot13")):
        with pytest.raises(Unreadable):
            unpacked(raw, encoding, 9)


def test_restorers_by_type() -> None:
    """Streams and JSON have one; other types, and encodings that nobody knows, do not."""

    def of(kind: str, encoding: str = "") -> object:
        return restorer_for(kind, encoding, NAMES, ToolPolicy(), Report())

    assert isinstance(of("text/event-stream; charset=utf-8"), StreamRestorer)
    assert isinstance(of("Application/JSON"), DocumentRestorer)
    assert of("application/json", "br") is not None
    assert of("text/html") is of("") is of("application/json", "rot13") is None


def test_an_encoded_answer_is_restored() -> None:
    """However it is cut."""
    packed = gzip.compress(b'{"type":"message","content":[{"type":"text","text":"<A_1>"}]}')
    for size in (1, 7, 1000):
        restorer = restorer_for("application/json", "gzip", NAMES, ToolPolicy(), Report())
        assert restorer is not None
        out = b"".join(restorer.feed(packed[i : i + size]) for i in range(0, len(packed), size)) + restorer.end()
        assert b'"secret"' in out
