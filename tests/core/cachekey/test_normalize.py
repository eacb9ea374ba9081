"""core/cachekey/normalize.py: what of a request does not count when two are compared, and that all else stays."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sluicegate.core.cachekey.normalize import NO_STRIPS, compile_strips, normalized

SESSION = "cf79fe42-06c3-4f30-bf68-088441e04bda"
MARK = {"type": "ephemeral"}
STRIPS = compile_strips((r"\d{4}-\d\d-\d\d",), (r"#\d+", "!"))


def message(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


def content_of(content: Any, **more: Any) -> Any:
    return normalized(message(content), **more)["messages"][0]["content"]


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ({"cache_control": MARK, "max_tokens": 1}, {"max_tokens": 1}),
        ({"metadata": {"user_id": "u"}, "x": 1}, {"x": 1}),
        ({"metadata": {"user_id": "u", "trace": "t"}}, {"metadata": {"trace": "t"}}),
        ({"metadata": {}}, {}),
        ({"metadata": "text"}, {"metadata": "text"}),
        ({"tools": [{"name": "A", "cache_control": MARK}, {"name": "B"}, 7]}, {"tools": [{"name": "A"}, {"name": "B"}, 7]}),
        ({"tools": {"cache_control": 1}}, {"tools": {"cache_control": 1}}),
        ({"system": [{"type": "text", "text": "a", "cache_control": MARK}]}, {"system": [{"type": "text", "text": "a"}]}),
        ({"system": 5}, {"system": 5}),
        ({"messages": "none"}, {"messages": "none"}),
        ({"messages": [5, {"role": "user"}]}, {"messages": [5, {"role": "user"}]}),
    ],
)
def test_what_is_removed_and_what_stays(body: dict[str, Any], left: dict[str, Any]) -> None:
    """Markers of the prompt cache and the user's id; what has another type than the API's stays as it is."""
    before = copy.deepcopy(body)
    assert normalized(body) == left
    assert body == before


def test_the_order_of_keys_stays() -> None:
    """Two requests that write the same keys in another order are two: a provider may read them differently."""
    body = {"b": 1, "cache_control": MARK, "a": 2, "metadata": {"z": 1, "user_id": "u", "y": 2}}
    assert list(normalized(body)) == ["b", "a", "metadata"]
    assert list(normalized(body)["metadata"]) == ["z", "y"]


@pytest.mark.parametrize(
    ("system", "left"),
    [
        ("x-anthropic-billing-header: cc_version=1;\nYou help.\nBe kind.", "You help.\nBe kind."),
        ("x-anthropic-billing-header: cc_version=1;", "x-anthropic-billing-header: cc_version=1;"),
        ("You help.\nx-anthropic-billing-header: a", "You help.\nx-anthropic-billing-header: a"),
        ("You help.\nBe kind.", "You help.\nBe kind."),
        (
            [{"type": "text", "text": "x-anthropic-billing-header: a;"}, {"type": "text", "text": "You help."}],
            [{"type": "text", "text": "You help."}],
        ),
    ],
)
def test_the_attribution_is_removed_where_claude_code_writes_it(system: Any, left: Any) -> None:
    """As a block, or as the first of several lines; a prompt that is nothing else, or speaks of it later, stays."""
    assert normalized({"system": system})["system"] == left


@pytest.mark.parametrize(
    ("content", "left"),
    [
        (f"in /tmp/{SESSION}", "in /tmp/<session>"),
        (
            [{"type": "text", "text": f"{SESSION} and {SESSION}"}],
            [{"type": "text", "text": "<session> and <session>"}],
        ),
        ([{"type": "tool_result", "content": SESSION}], [{"type": "tool_result", "content": "<session>"}]),
        (
            [{"type": "document", "content": [{"type": "text", "text": SESSION}, SESSION, {"type": "image"}]}],
            [{"type": "document", "content": [{"type": "text", "text": "<session>"}, SESSION, {"type": "image"}]}],
        ),
        ([{"type": "custom", "content": SESSION}], [{"type": "custom", "content": SESSION}]),
        ([{"type": "text", "text": 5}, SESSION], [{"type": "text", "text": 5}, SESSION]),
        ([{"type": "tool_result", "content": 5}], [{"type": "tool_result", "content": 5}]),
    ],
)
def test_the_session_id_is_removed_wherever_it_stands_in_texts(content: Any, left: Any) -> None:
    """In strings, text blocks, tool results and documents; no other block, and nothing of another type."""
    assert content_of(content, session_id=SESSION) == left


@pytest.mark.parametrize("session", ["yes", SESSION + "0", SESSION[:-1], ""])
def test_a_session_id_that_is_no_uuid_stays(session: str) -> None:
    """Removing the word "yes" would make different prompts equal."""
    assert content_of(f"say {session} twice", session_id=session) == f"say {session} twice"


def test_the_operators_expressions_hold_where_they_are_written_for() -> None:
    """Those for `system` there, those for `messages` there, each of them, after the session id."""
    text = f"2026-01-02 #5 ! {SESSION}"
    assert normalized({"system": f"at {SESSION}"}, session_id=SESSION) == {"system": "at <session>"}
    out = normalized({"system": text, **message([{"type": "text", "text": text}])}, STRIPS, SESSION)
    assert out["system"] == " #5 ! <session>"
    assert out["messages"][0]["content"][0]["text"] == "2026-01-02   <session>"
    assert content_of([{"type": "tool_result", "content": [{"type": "text", "text": "#1"}]}], strips=STRIPS) == [
        {"type": "tool_result", "content": [{"type": "text", "text": ""}]}
    ]
    assert normalized({"system": text}, NO_STRIPS) == {"system": text}


def test_an_invalid_expression_is_refused_without_being_repeated(capfd: pytest.CaptureFixture[str]) -> None:
    """It may hold what the operator wants removed: neither the error nor RE2's own log shows it."""
    with pytest.raises(ValueError, match=r"^missing \)$") as caught:
        compile_strips(("(hidden-word",), ())
    assert "hidden-word" not in str(caught.value)
    assert "hidden-word" not in "".join(capfd.readouterr())
    with pytest.raises(ValueError, match=r"."):
        compile_strips((), ("[",))


def result(id: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, **more}


TEXT = {"type": "text", "text": "then"}


@pytest.mark.parametrize(
    ("blocks", "left"),
    [
        ([result("b"), result("a")], [result("a"), result("b")]),
        (
            [result("d"), result("c"), TEXT, result("b"), result("a")],
            [result("c"), result("d"), TEXT, result("a"), result("b")],
        ),
        ([result("b"), "text", result("a")], [result("b"), "text", result("a")]),
        ([result("b", n=1), result("b", n=0)], [result("b", n=1), result("b", n=0)]),
        ([result("b"), result(5), result(None)], [result(5), result(None), result("b")]),
        ([TEXT, result("a", cache_control=MARK)], [TEXT, result("a")]),
    ],
)
def test_results_that_arrived_together_are_in_one_order(blocks: Any, left: Any) -> None:
    """By their id, within a run of them; what stands between two runs keeps its place, and so do results of one id."""
    assert content_of(blocks) == left


def test_a_marker_in_a_result_is_removed_and_a_member_of_that_name_in_a_schema_is_not() -> None:
    """Deeper than a block of a result there are only the caller's own documents."""
    schema = {"name": "B", "input_schema": {"properties": {"cache_control": {"type": "string"}}}}
    assert normalized({"tools": [schema]}) == {"tools": [schema]}
    inner = [{"type": "text", "text": "t", "cache_control": MARK}, {"type": "image", "cache_control": MARK}]
    assert content_of([{"type": "tool_result", "content": inner}]) == [
        {"type": "tool_result", "content": [{"type": "text", "text": "t"}, {"type": "image"}]}
    ]
    assert content_of([{"type": "tool_use", "input": {"cache_control": MARK}}]) == [
        {"type": "tool_use", "input": {"cache_control": MARK}}
    ]
