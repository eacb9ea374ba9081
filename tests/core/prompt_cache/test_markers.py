"""Markers: where they are added, when none are, and that nothing else changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.prompt_cache.markers import min_cacheable_tokens, with_markers
from sluicegate.simulator.prompt import prompt_blocks

MARK = {"type": "ephemeral"}
LONG = "You are a careful assistant. " * 800


def body(**fields: Any) -> dict[str, Any]:
    whole = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], **fields}
    return {k: v for k, v in whole.items() if v is not None}


def run(value: Any, **options: Any) -> Any:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    out = with_markers(raw, **options)
    return None if out is None else json.loads(out)


def test_the_usual_places() -> None:
    """The last tool that is not deferred, the last system block, and the automatic one at the top."""
    tools = [{"name": "a"}, {"name": "b"}, {"name": "c", "defer_loading": True}]
    system = [{"type": "text", "text": LONG}, {"type": "text", "text": "Be brief."}]
    out = run(body(tools=tools, system=system))
    assert out["tools"] == [tools[0], {**tools[1], "cache_control": MARK}, tools[2]]
    assert out["system"] == [system[0], {**system[1], "cache_control": MARK}]
    assert out["cache_control"] == MARK
    assert out["messages"] == body()["messages"]
    assert list(out) == [*body(tools=tools, system=system), "cache_control"]


def test_a_system_string_becomes_a_block() -> None:
    """With the same text; the string keeps its bytes."""
    raw = (
        json.dumps(body(system="ASCII"))
        .encode()
        .replace(b"ASCII", b'caf\\u00e9 "' + LONG.encode() + b'"'.replace(b'"', b'\\"'))
    )
    raw = raw.replace(b'\\u00e9 "', b'\\u00e9 \\"')
    out = with_markers(raw)
    assert out
    assert b'[{"type":"text","text":"caf\\u00e9' in out
    assert json.loads(out)["system"] == [{"type": "text", "text": json.loads(raw)["system"], "cache_control": MARK}]


def test_the_ttl() -> None:
    """An hour where asked for; the same everywhere, as longer ones must come first."""
    out = run(body(system=LONG, tools=[{"name": "a"}]), ttl="1h")
    marks = [out["cache_control"], out["system"][0]["cache_control"], out["tools"][0]["cache_control"]]
    assert marks == [{"type": "ephemeral", "ttl": "1h"}] * 3


def test_a_provider_without_the_automatic_one() -> None:
    """The last block that can carry one, in the last message."""
    content = [{"type": "text", "text": "a"}, {"type": "text", "text": ""}, {"type": "thinking", "thinking": "x"}]
    out = run(body(system=LONG, messages=[{"role": "user", "content": content}]), automatic=False)
    assert out["messages"][0]["content"] == [{**content[0], "cache_control": MARK}, *content[1:]]
    assert "cache_control" not in out
    out = run(body(system=LONG), automatic=False)
    assert out["messages"][0]["content"] == [{"type": "text", "text": "hi", "cache_control": MARK}]


@pytest.mark.parametrize(("results", "marked"), [(14, False), (15, True), (30, True)])
def test_the_end_of_the_previous_turn(results: int, marked: bool) -> None:
    """Where more than 15 blocks came since: the provider would not look back so far."""
    messages = [
        {"role": "user", "content": "early"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {}}]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": str(i), "content": "r"} for i in range(results)],
        },
    ]
    out = run(body(system=LONG, messages=messages))
    assert ("cache_control" in out["messages"][2]["content"][1]) == marked
    assert [m for i, m in enumerate(out["messages"]) if i != 2] == [m for i, m in enumerate(messages) if i != 2]


UNTOUCHED: dict[str, Any] = {
    "marked at the top": body(system=LONG, cache_control=MARK),
    "marked in a message": body(system=LONG, messages=[{"role": "user", "content": [{"cache_control": MARK}]}]),
    "marked in escapes": json.dumps(body(system=LONG, x=1)).encode().replace(b'"x"', b'"cache\\u005Fcontrol"'),
    "marked with null": body(system=LONG, tools=[{"name": "a", "cache_control": None}]),
    "Claude Code's attribution": body(system=[{"type": "text", "text": "x-anthropic-billing-header: cc"}, {"text": LONG}]),
    "too short": body(system="short"),
    "too short for this model": body(system=LONG[:15_000], model="claude-opus-4-5"),
    "no object": b"[]",
    "no JSON": b"{" + LONG.encode(),
    "no model": body(system=LONG, model=None),
    "odd messages": body(system=LONG, messages="x"),
    "odd tools": body(system=LONG, tools="x"),
    "odd system": body(system=7, x=LONG),
    "no messages": body(system=LONG, messages=[]),
}


@pytest.mark.parametrize("name", [n for n in UNTOUCHED if n != "no messages"])
def test_left_alone(name: str) -> None:
    """If the client sets markers, if nothing would be cached, or if the body is odd."""
    assert run(UNTOUCHED[name]) is None


def test_always() -> None:
    """Also short ones; never where the client sets its own."""
    assert run(body(system="short"), always=True)["cache_control"] == MARK
    assert run(UNTOUCHED["marked at the top"], always=True) is None


def test_nothing_is_cached_behind_a_clock() -> None:
    """A system block with the time of day changes each time: only what stands before it is worth a marker."""
    clock = {"type": "text", "text": "It is 2026-11-21T08:30:11Z."}
    stable = {"type": "text", "text": LONG}
    out = run(body(tools=[{"name": "a"}], system=[stable, clock]))
    assert out["system"] == [{**stable, "cache_control": MARK}, clock]
    assert "cache_control" in out["tools"][0]
    assert "cache_control" not in out
    assert run(body(system=f"It is 2026-11-21 08:30. {LONG}")) is None


def test_the_least_that_is_cached() -> None:
    """By model; what is not known counts as the usual 1024."""
    models = ("claude-opus-4-5", "claude-opus-4-1-20250805", "claude-haiku-4-5", "claude-3-5-haiku-latest", "brand-new")
    assert [min_cacheable_tokens(m) for m in models] == [4096, 1024, 4096, 2048, 1024]
    newer = ("claude-opus-4-7", "claude-opus-4-8", "claude-opus-5", "claude-fable-5-2", "claude-sonnet-5-5")
    assert [min_cacheable_tokens(m) for m in newer] == [2048, 1024, 512, 512, 1024]


blocks = st.lists(
    st.sampled_from(
        [
            {"type": "text", "text": "a"}, {"type": "text", "text": ""}, {"type": "image", "source": {"type": "base64"}},
            {"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "tool_result", "tool_use_id": "t"},
        ]
    ),
    max_size=20,
)  # fmt: skip
contents = st.text(max_size=5) | blocks
message = st.builds(lambda r, c: {"role": r, "content": c}, st.sampled_from(["user", "assistant"]), contents)
tool = st.builds(lambda n, d: {"name": n, "defer_loading": d}, st.text(max_size=3), st.booleans())


@given(st.lists(message, min_size=1), st.none() | contents, st.none() | st.lists(tool, max_size=3), st.booleans())
def test_never_more_than_the_provider_takes(messages: Any, system: Any, tools: Any, automatic: bool) -> None:
    """At most four markers, on blocks that can carry one, and without them the body is what it was."""
    given = body(messages=messages, system=system, tools=tools)
    out = run(given, always=True, automatic=automatic)
    if out is None:
        return
    prompt_blocks(out)  # the simulator checks what the API checks
    assert json.dumps(out).count('"cache_control"') <= 4
    assert _without(out) == _without(given)
    assert run(given, always=True, automatic=automatic) == out


def _without(value: Any) -> Any:
    """Without markers, strings as the block that they stand for."""
    match value:
        case dict():
            return {k: _as_blocks(k, _without(v)) for k, v in value.items() if k != "cache_control"}
        case list():
            return [_without(v) for v in value]
    return value


def _as_blocks(name: str, value: Any) -> Any:
    return [{"type": "text", "text": value}] if name in ("system", "content") and isinstance(value, str) else value
