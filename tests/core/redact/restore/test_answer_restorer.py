"""core/redact/restore/answer_restorer.py: the restorer for a content type and an encoding."""

from __future__ import annotations

import gzip

from sluicegate.core.redact.hide.placeholder_map import PlaceholderMap
from sluicegate.core.redact.hide.placeholders import GRAMMARS
from sluicegate.core.redact.restore.answer_restorer import answer_restorer
from sluicegate.core.redact.restore.content_blocks import RestoreReport
from sluicegate.core.redact.restore.event_stream import EventStreamRestorer
from sluicegate.core.redact.restore.json_answer import JsonAnswerRestorer
from sluicegate.core.redact.restore.tool_policy import ToolPolicy

NAMES = PlaceholderMap(GRAMMARS["angle"], {"A_1": "secret"})


def test_restorers_by_type() -> None:
    """Streams and JSON have one; other types, and unknown encodings do not."""

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
