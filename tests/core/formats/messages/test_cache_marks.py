"""core/formats/messages/cache_marks.py: breakpoints for servers that know less of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluicegate.core.formats.messages.cache_marks import rewritten

MARK = {"type": "ephemeral"}


def changed(body: dict[str, Any], **which: bool) -> Any:
    return json.loads(rewritten(json.dumps(body).encode(), **{"automatic": True, "scope": True, **which}))


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([{"role": "user", "content": "hi"}], [{"role": "user", "content": [text("hi", cache_control=MARK)]}]),
        (
            [{"role": "user", "content": [text("a"), text("")]}],
            [{"role": "user", "content": [text("a", cache_control=MARK), text("")]}],
        ),
        (
            [{"role": "user", "content": [text("a")]}, {"role": "assistant", "content": [{"type": "thinking"}]}],
            [
                {"role": "user", "content": [text("a", cache_control=MARK)]},
                {"role": "assistant", "content": [{"type": "thinking"}]},
            ],
        ),
        ([], []),
        ("nonsense", "nonsense"),
    ],
)
def test_the_automatic_mark_goes_where_it_would_count(messages: Any, expected: Any) -> None:
    """On the last block that can carry one."""
    assert changed({"cache_control": MARK, "messages": messages}) == {"messages": expected}


def test_a_fifth_mark_is_dropped() -> None:
    """Four are the most."""
    body = {"system": [text("s", cache_control=MARK)] * 4, "messages": [{"role": "user", "content": "hi"}]}
    assert changed({**body, "cache_control": MARK}) == body


def test_scopes_are_taken_out() -> None:
    """Wherever a mark may stand; a tool's own `scope` stays."""
    scoped = {**MARK, "scope": "global"}
    tool = {"name": "t", "input_schema": {"properties": {"scope": {"type": "string"}}}}
    body = {
        "tools": [{**tool, "cache_control": scoped}],
        "system": [text("s", cache_control=scoped)],
        "messages": [{"role": "user", "content": [{"type": "tool_result", "content": [text("r", cache_control=scoped)]}]}],
    }
    assert json.dumps(changed(body)) == json.dumps(body).replace(', "scope": "global"', "")


@pytest.mark.parametrize("body", [b'{ "messages": [] }', b'{ "a": {"cache_control": 1} }', b'no "cache_control"', b"[]"])
def test_other_bodies_keep_their_bytes(body: bytes) -> None:
    """Nothing to change, or nothing that can be read."""
    assert rewritten(body, automatic=True, scope=True) == body
