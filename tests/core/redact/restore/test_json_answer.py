"""core/redact/restore/json_answer.py: values come back in an answer that is one JSON document."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from kits.hiding import (
    Numbers,
    cut,
    factory_of,
    hide,
    text_of,
)
from sluicegate.core.redact.hide.placeholder_map import PlaceholderMap
from sluicegate.core.redact.hide.placeholders import GRAMMARS
from sluicegate.core.redact.restore.content_blocks import RestoreReport
from sluicegate.core.redact.restore.json_answer import JsonAnswerRestorer
from sluicegate.core.redact.restore.tool_policy import ToolPolicy

NAMES = PlaceholderMap(GRAMMARS["angle"], {"API_KEY_1": 'sk-"1'})


def run(body: bytes, names: PlaceholderMap = NAMES, pieces: list[bytes] | None = None) -> tuple[bytes, RestoreReport]:
    report = RestoreReport()
    restorer = JsonAnswerRestorer(names, ToolPolicy(), report)
    return b"".join(map(restorer.feed, pieces or [body])) + restorer.end(), report


def message(*content: dict[str, Any]) -> bytes:
    return json.dumps({"type": "message", "content": content, "usage": {"z": 1.50}}).encode()


def test_any_message_comes_back() -> None:
    """Random texts and tool inputs, 1,000 of them, in any number of pieces."""
    rng = random.Random(5)
    how, numbers = factory_of(), Numbers()
    for _ in range(1000):
        value = {"text": text_of(rng), "input": {"content": text_of(rng), text_of(rng, 4): 1}}
        hidden, names = hide(value, how, numbers)
        body = message(
            {"type": "text", "text": hidden["text"]}, {"type": "tool_use", "name": "Write", "input": hidden["input"]}
        )
        text, tool = json.loads(run(body, names, cut(rng, body))[0])["content"]
        assert (text["text"], tool["input"]) == (value["text"], value["input"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense <API_KEY_1>",
        b'["<API_KEY_1>"]',
        b'{"type":"error","error":{"type":"x","message":"<API_KEY_1>"}}',
        b'{"type":"message","content":"<API_KEY_1>"}',
        b'{"type":"message","content":[{"type":"text","text":7},3,{"type":"text"}]}',
        b'{"type":"message", "content":[{"type":"text","text":"<OTHER_1> \\u003c"}],"n":1e400}',
        message({"type": "thinking", "thinking": "<API_KEY_1>", "signature": "<API_KEY_1>"}),
        message({"type": "server_tool_use", "name": "Read", "input": {"a": "<API_KEY_1>"}}),
        message({"type": "mcp_tool_result", "content": [{"type": "text", "text": "<API_KEY_1>"}]}),
        message({"type": "tool_use", "name": "WebFetch", "input": {"a": "<API_KEY_1>"}}),
    ],
)
def test_the_rest_keeps_its_bytes(body: bytes) -> None:
    """Errors, thinking, server tools, withheld inputs, and bodies that are not a message."""
    assert run(body)[0] == body


def test_what_is_not_changed_keeps_its_bytes() -> None:
    """Next to a restored text numbers keep their notation and keys their order."""
    body = (
        b'{"type":"message","x":1.50,"content":[{"type":"text","text":"<API_KEY_1>","z":[1e2]}],'
        b'"big":123456789012345678901234567890}'
    )
    assert run(body)[0] == body.replace(b"<API_KEY_1>", b'sk-\\"1')


def test_escaped_by_the_provider() -> None:
    """An encoder that writes < as \\u003c (Go's does) hides no placeholder from us."""
    body = (
        rb'{"type":"message","content":[{"type":"text","text":"\u003cAPI_KEY_1\u003e"},'
        rb'{"type":"tool_use","name":"Edit","input":{"a":"\u003cAPI_KEY_1\u003e"}}]}'
    )
    text, tool = json.loads(run(body)[0])["content"]
    assert (text["text"], tool["input"]["a"]) == ('sk-"1', 'sk-"1')


def test_lone_surrogates() -> None:
    """A cut emoji next to a placeholder."""
    body = message({"type": "text", "text": "\ud83d <API_KEY_1>"}, {"type": "thinking", "thinking": "\ud83d"})
    assert json.loads(run(body)[0])["content"][0]["text"] == '\ud83d sk-"1'


def test_the_report() -> None:
    """What came back, what was withheld, what is not known."""
    body = message(
        {"type": "text", "text": "<API_KEY_1> <API_KEY_2>"},
        {"type": "tool_use", "name": "WebFetch", "input": {"a": "<API_KEY_1><API_KEY_1>"}},
        {"type": "tool_use", "name": "Bash", "input": {"command": "curl <API_KEY_1>"}},
    )
    report = run(body)[1]
    assert (report.restored, report.withheld, report.unknown) == (1, {"WebFetch": 2, "Bash": 1}, 1)
