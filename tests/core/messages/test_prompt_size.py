"""core/messages/prompt_size.py: whether a prompt can fit."""

from __future__ import annotations

import json

from sluicegate.core.messages.prompt_size import fits, least_tokens


def test_text_counts_by_its_bytes_and_images_by_the_piece() -> None:
    """A picture of a megabyte is a thousand tokens or so, not two hundred thousand."""
    text = json.dumps({"content": "word " * 1000}).encode()
    assert 900 <= least_tokens(text) <= 1250
    image = json.dumps({"source": {"type": "base64", "data": "A" * 1_000_000}}).encode()
    assert least_tokens(image) < 1100


def test_the_answer_needs_room_too() -> None:
    """Prompt and max_tokens share the window; a window that is not known holds everything."""
    body = b"x" * 5000
    assert fits(body, 1000, 2000)
    assert not fits(body, 1001, 2000)
    assert not fits(body, None, 999)
    assert fits(body, 10**9, None)
