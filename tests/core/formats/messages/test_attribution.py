"""core/formats/messages/attribution.py: Claude Code's attribution block, taken out."""

from __future__ import annotations

import pytest

from sluicegate.core.formats.messages.attribution import without_attribution

LINE = b"x-anthropic-billing-header: cc_version=2.1.197.e1d; cc_entrypoint=cli; cch=00000;"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"system":[{"type":"text","text":"%b"},{"type":"text","text":"You", "x":1.0}],"a":1}',
         b'{"system":[{"type":"text","text":"You", "x":1.0}],"a":1}'),
        (b'{"system":[{"type":"text","text":"%b"}],"a":1}', b'{"a":1}'),
        (b'{"system":"%b","a":1}', b'{"a":1}'),
        (b'{"system":"%b\\nYou are","a":1}', b'{"system":"You are","a":1}'),
    ],
)  # fmt: skip
def test_it_is_taken_out(before: bytes, after: bytes) -> None:
    """As a block or the first line; the other blocks keep their bytes."""
    assert without_attribution(before % LINE) == after


@pytest.mark.parametrize(
    "body",
    [
        b'{ "system":[{"type":"text","text":"You"}] }',
        b'{ "system":"about x-anthropic-billing-header: lines" }',
        b'{ "messages":[{"role":"user","content":"%b"}] }' % LINE,
        b'{ "system":[{"type":"text","text":"see %b"}] }' % LINE,
        b'{ "system":5, "x":"%b" }' % LINE,
        b"no json %b" % LINE,
        b"",
    ],
)
def test_nothing_else_is_touched(body: bytes) -> None:
    """The same bytes where there is none: elsewhere the text is the user's own."""
    assert without_attribution(body) == body
