"""core/redact/restore/tool_policy.py: which tool inputs get their values."""

from __future__ import annotations

import pytest

from sluicegate.core.redact.restore.tool_policy import ToolPolicy


@pytest.mark.parametrize(
    ("configured", "rules"),
    [
        ({}, {"Read": True, "Bash": "no-egress", "WebFetch": False, "WebSearch": False, "mcp__a__b": False, "New": False}),
        ({"mcp__fs__*": True}, {"mcp__fs__read": True, "mcp__web__get": False, "Read": True}),
        ({"mcp__*": False, "mcp__fs__*": True}, {"mcp__fs__read": False}),
        ({"*": True, "mcp__*": False}, {"Read": True, "Bash": True, "Other": True, "mcp__x": False}),
        ({"Bash": False, "B*": True}, {"Bash": False, "Base": True}),
        ({"mcp__[x]__*": True, "odd[1]": True}, {"mcp__[x]__y": True, "mcp__x__y": False, "odd[1]": True, "odd1": False}),
        ({"Read": True, "*": False}, {"Read": True, "Grep": False, "Bash": False}),
    ],
)
def test_rules(configured: dict[str, bool], rules: dict[str, object]) -> None:
    """A full name first, then patterns in their order, `*` last; what is not configured has its default, unless * is."""
    policy = ToolPolicy(configured)
    assert {name: policy.rule(name) for name in rules} == rules
