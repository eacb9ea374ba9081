"""core/redact/restore/content_blocks.py: which blocks of an answer get values, and how."""

from __future__ import annotations

import pytest

from sluicegate.core.redact.hide.placeholder_map import PlaceholderMap
from sluicegate.core.redact.hide.placeholders import GRAMMARS
from sluicegate.core.redact.restore import content_blocks
from sluicegate.core.redact.restore.content_blocks import RestoreReport, block_restorer
from sluicegate.core.redact.restore.tool_policy import ToolPolicy

KNOWN = PlaceholderMap(GRAMMARS["angle"], {"API_KEY_1": 'a"b'})
POLICY = ToolPolicy({"Write": True, "Fetch": False, "Bash": "no-egress"})


def run(kind: object, tool: object, pieces: list[str], *, whole: bool = True) -> tuple[list[str], RestoreReport]:
    """What comes out for each piece, and at the end."""
    report = RestoreReport()
    block = block_restorer(kind, tool, KNOWN, POLICY, report)
    assert block is not None
    return [*map(block.feed, pieces), block.end(whole=whole)], report


@pytest.mark.parametrize(
    ("kind", "tool"),
    [
        ("thinking", None),
        ("server_tool_use", "Write"),
        ("mcp_tool_use", "Write"),
        ("tool_use", None),
        ("x", "y"),
        (None, 1),
    ],
)
def test_other_blocks_are_never_changed(kind: object, tool: object) -> None:
    """Thinking is signed, and server tools run at the provider."""
    assert block_restorer(kind, tool, KNOWN, POLICY, RestoreReport()) is None


def test_a_text_is_restored_as_it_arrives() -> None:
    """Only a possible placeholder waits."""
    out, report = run("text", None, ["use <API", "_KEY_1> and <KEY_9>"])
    assert out == ["use ", 'a"b and <KEY_9>', ""]
    assert (report.restored, report.unknown, report.withheld) == (1, 1, {})


def test_a_trusted_tool_gets_its_value_escaped() -> None:
    """The input is JSON and stays JSON."""
    out, report = run("tool_use", "Write", ['{"a": "<API_KEY_1>"}'])
    assert "".join(out) == '{"a": "a\\"b"}'
    assert report.restored == 1


def test_an_untrusted_tool_gets_the_placeholder() -> None:
    """The report counts it under the tool's name."""
    out, report = run("tool_use", "Fetch", ['{"a": "<API_KEY_1> <KEY', '_9>"}'])
    assert "".join(out) == '{"a": "<API_KEY_1> <KEY_9>"}'
    assert (report.restored, report.withheld, report.unknown) == (0, {"Fetch": 1}, 1)


@pytest.mark.parametrize(
    ("command", "whole", "restored"),
    [("echo <API_KEY_1>", True, True), ("curl <API_KEY_1>", True, False), ("echo <API_KEY_1>", False, False)],
)
def test_a_no_egress_tool_is_held_from_its_first_placeholder(command: str, whole: bool, restored: bool) -> None:
    """It gets its values if the complete input sends nothing; a truncated input cannot be checked."""
    pieces = ['{"command": "', command, ' > f"}']
    out, report = run("tool_use", "Bash", pieces, whole=whole)
    assert out[0] == pieces[0]
    assert "API" not in "".join(out[:-1])
    text = "".join(pieces)
    assert "".join(out) == (text.replace("<API_KEY_1>", 'a\\"b') if restored else text)
    assert (report.restored, report.withheld) == ((1, {}) if restored else (0, {"Bash": 1}))


def test_a_no_egress_tool_without_placeholders_is_not_held() -> None:
    """Its input reaches the client as it arrives, even if it sends data: there is nothing to protect."""
    pieces = ['{"command": "', "curl h", '"}']
    out, report = run("tool_use", "Bash", pieces)
    assert out == [*pieces, ""]
    assert report == RestoreReport()


def test_an_input_too_large_to_check_ends_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ValueError, with which the stream fails closed."""
    monkeypatch.setattr(content_blocks, "_MAX_TOOL", 10)
    with pytest.raises(ValueError, match="too large"):
        run("tool_use", "Bash", ["12345678", "12345678"])


def test_the_report_bounds_a_tool_name() -> None:
    """The model chooses it, and it becomes a key of the audit record."""
    _, report = run("tool_use", "x" * 1000, ["<API_KEY_1>"])
    assert report.withheld == {"x" * 128: 1}
