"""Why a cached prefix was not read: every planted change is found and named."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from sluicegate.core.prompt_cache.misses import (
    PromptCacheMiss,
    Turn,
    explain_miss,
    fingerprint,
    same_conversation,
)

MARK = {"type": "ephemeral"}
BODY: dict[str, Any] = {
    "model": "m",
    "tools": [{"name": "a", "description": "the first"}, {"name": "b", "description": "the second"}],
    "system": [
        {"type": "text", "text": "be brief"},
        {"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral"}},
    ],
    "messages": [
        {"role": "user", "content": "hello there"},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "hi"}, {"type": "tool_use", "id": "1", "input": {"q": 1}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "ok"}]},
    ],
    "tool_choice": {"type": "auto"},
}


def turn(body: Any, *, read: int = 0, written: int = 0, model: str = "m", provider: str = "p", at_s: float = 0.0) -> Turn:
    raw = json.dumps(body).encode()
    printed = fingerprint(raw)
    assert printed
    return Turn(raw, printed, model, provider, read, written, at_s)


def later(body: Any = None) -> dict[str, Any]:
    """The next request of the same conversation: two messages more, and the marker in another place."""
    more: dict[str, Any] = copy.deepcopy(BODY if body is None else body)
    more["messages"] += [{"role": "assistant", "content": "done"}, {"role": "user", "content": "thanks"}]
    return more


def found(now: dict[str, Any], **fields: Any) -> PromptCacheMiss:
    finding = explain_miss(turn(BODY, written=5000), turn(now, **fields))
    assert finding
    assert finding.lost_tokens == 5000
    return finding


PLANTED: dict[str, tuple[list[Any], Any, str]] = {
    "a tool": (["tools", 1, "description"], "the 2nd", "tools[1]"),
    "a tool's name": (["tools", 0, "name"], "z", "tools[0]"),
    "system": (["system", 0, "text"], "be long", "system[0]"),
    "the last system block": (["system", 1, "text"], "be cruel", "system[1]"),
    "the first message": (["messages", 0, "content"], "hello where", "messages[0].content[0]"),
    "an assistant's text": (["messages", 1, "content", 0, "text"], "ho", "messages[1].content[0]"),
    "a tool's input": (["messages", 1, "content", 1, "input", "q"], 2, "messages[1].content[1]"),
    "a result": (["messages", 2, "content", 0, "content"], "no", "messages[2].content[0]"),
    "a role": (["messages", 2, "role"], "assistant", "messages[2].content[0]"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_changes_are_found_and_named(name: str) -> None:
    """The block, the first byte in it, and both values from there."""
    way, value, where = PLANTED[name]
    changed = later()
    at = changed
    for step in way[:-1]:
        at = at[step]
    at[way[-1]] = value
    finding = found(changed)
    assert (finding.reason, finding.where) == ("changed", where)
    assert where in finding.describe()
    assert finding.before != finding.now
    assert finding.byte is not None


def test_the_byte_is_the_first_that_differs() -> None:
    """Counted over the blocks in the order in which they are cached."""
    changed = later()
    changed["tools"][1]["description"] = "the Second"
    finding = found(changed)
    first = json.dumps(BODY["tools"][0], separators=(",", ":"))
    second = json.dumps(BODY["tools"][1], separators=(",", ":"))
    assert finding.byte == len(first) + second.index("second")
    assert (finding.before or "").endswith('ption":"the second"}'[-12:])


def test_other_kinds_of_changes() -> None:
    """A tool more, a message less, tools in another order."""
    more, less, order = later(), later(), later()
    more["tools"].insert(0, {"name": "new"})
    less["messages"] = less["messages"][:2]
    order["tools"].reverse()
    assert found(more).where == "tools[0]"
    assert (found(less).reason, found(less).where) == ("removed", "messages[2].content[0]")
    assert found(order).where == "tools[0]"


def test_markers_are_no_part_of_the_prefix() -> None:
    """They move from turn to turn; fewer of them are a reason when nothing else changed."""
    moved = later()
    moved["messages"][-1]["content"] = [{"type": "text", "text": "thanks", "cache_control": {"type": "ephemeral"}}]
    assert found(moved).reason == "evicted"
    del moved["messages"][-1], moved["system"][1]["cache_control"]
    assert found(moved).reason == "unmarked"
    assert same_conversation(turn(BODY).print, turn(moved).print)


def test_what_is_not_in_the_blocks() -> None:
    """Parameters, time, model, provider; each says so in words."""
    parameters = later()
    parameters["tool_choice"] = {"type": "any"}
    assert (found(parameters).reason, found(parameters).where) == ("parameters", "tool_choice")
    assert found(later(), at_s=301).reason == "expired"
    assert found(later(), at_s=299).reason == "evicted"
    assert found(later(), model="n").reason == "model"
    assert found(later(), provider="q").reason == "provider"
    for finding in (found(parameters), found(later(), at_s=301), found(later(), model="n"), found(later(), provider="q")):
        assert len(finding.describe()) > 20


def test_no_fall_no_finding() -> None:
    """As much was read as was there, or nearly: nothing is looked for."""
    assert explain_miss(turn(BODY, read=100, written=900), turn(later(), read=1000)) is None
    assert explain_miss(turn(BODY, read=100, written=900), turn(later(), read=950)) is None
    assert explain_miss(turn(BODY), turn({"messages": []})) is None


def test_lines_of_conversation() -> None:
    """One goes on where the first message or tools and system stay; otherwise it is a side request."""
    other_prefix, other_opening, other = later(), later(), later()
    other_prefix["system"] = "x"
    other_opening["messages"][0]["content"] = "x"
    other["system"], other["messages"][0]["content"] = "x", "x"
    lines = [same_conversation(turn(BODY).print, turn(b).print) for b in (later(), other_prefix, other_opening, other)]
    assert lines == [True, True, True, False]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"messages": 3}', b'{"messages": "x"}'])
def test_odd_bodies_have_no_fingerprint(body: bytes) -> None:
    """Nothing can be said of them."""
    assert fingerprint(body) is None


@pytest.mark.parametrize("body", [{}, {"messages": [None, 3]}, {"tools": 3, "system": 4}, {"tools": [1], "system": [2]}])
def test_odd_shapes_do_no_harm(body: dict[str, Any]) -> None:
    """The parts that can be parsed are compared."""
    assert explain_miss(turn(body, written=1000), turn({**body, "tools": [9]})) is not None
