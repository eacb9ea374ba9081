"""core/redact/hide/conversation_id.py: which requests belong together."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.redact.hide.conversation_id import conversation_id


def body(first: Any = "hi", system: Any = "be good", *more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": first}, *({"role": "assistant", "content": m} for m in more)]
    return {"system": system, "messages": messages}


def test_a_session_is_a_conversation() -> None:
    """Whatever its requests hold."""
    assert conversation_id("s", body()) == conversation_id("s", {}) != conversation_id("t", body())


def test_without_a_session_the_beginning_counts() -> None:
    """System prompt and first user message; not what follows, not breakpoints, not how a text is written."""
    one = conversation_id(None, body())
    assert one == conversation_id(None, body("hi", "be good", "later"))
    marked = [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]
    assert one == conversation_id(None, body(marked))
    assert one != conversation_id(None, body("ho"))
    assert one != conversation_id(None, body("hi", "be bad"))
    assert one != conversation_id("", body("ho"))


def test_the_attribution_block_does_not_count() -> None:
    """Claude Code's first block differs from request to request."""
    blocks = [
        [{"type": "text", "text": f"x-anthropic-billing-header: cch={n};"}, {"type": "text", "text": "be good"}]
        for n in "ab"
    ]
    assert conversation_id(None, body("hi", blocks[0])) == conversation_id(None, body("hi", blocks[1]))


@given(
    st.recursive(st.none() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.sampled_from(["messages", "system"]), v))
)
def test_any_document(root: Any) -> None:
    """Whatever the body is, it has a conversation."""
    assert conversation_id(None, root) == conversation_id(None, root)
