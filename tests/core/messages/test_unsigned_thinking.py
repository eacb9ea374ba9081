"""core/messages/thinking.py: unsigned thinking does not reach Anthropic."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.messages.thinking import without_unsigned_thinking

OURS = {"type": "thinking", "thinking": "hmm", "signature": ""}
THEIRS = {"type": "thinking", "thinking": "", "signature": "c2ln"}
TEXT = {"type": "text", "text": "a"}


def body(*contents: object) -> bytes:
    turns = [{"role": "assistant", "content": content} for content in contents]
    return json.dumps({"model": "m", "messages": turns, "z": 1.0}).encode()


def test_only_unsigned_thinking_goes() -> None:
    """Signed thinking, text and other turns stay; a turn of nothing else goes with it."""
    given = body([OURS, TEXT], [THEIRS, TEXT], "b", [OURS])
    assert json.loads(without_unsigned_thinking(given)) == json.loads(body([TEXT], [THEIRS, TEXT], "b"))


@pytest.mark.parametrize(
    "given",
    [
        body([THEIRS, TEXT]),
        body([TEXT | {"text": '"signature":""'}]),
        body([{"type": "tool_use", "input": {"signature": ""}}]),
        b'{"signature":""',
        b'{"messages": 5, "signature": ""}',
        b'{"messages": [5], "signature": ""}',
    ],
)
def test_other_bodies_keep_their_bytes(given: bytes) -> None:
    """What has no such thinking, or is no request, is the same object."""
    assert without_unsigned_thinking(given) is given


@given(st.binary(max_size=40))
def test_whatever_the_body_is(data: bytes) -> None:
    """Never an exception."""
    without_unsigned_thinking(b'{"messages":[{"content":[{"signature":""}' + data)
    without_unsigned_thinking(b'"signature":""' + data)
