"""Keys: which requests have the same key, and which never do."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.cachekey.key import (
    Bypass,
    KeyInput,
    KeyMaker,
    KeyRules,
    Keys,
    Tier,
    tenant_of,
)
from sluicegate.core.cachekey.normalize import compile_strips

SESSION = "cf79fe42-06c3-4f30-bf68-088441e04bda"
OTHER = "346a2912-3fbe-489a-9548-813778628aff"


def asked(body: Any, **fields: Any) -> KeyInput:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return KeyInput(**{"tenant": b"t", "surface": "messages", "model": "m", "body": raw, **fields})


def keys(body: Any, tier: Tier = "normalized", rules: KeyRules | None = None, **fields: Any) -> Keys:
    found = KeyMaker(rules or KeyRules(tier)).keys(asked(body, **fields))
    assert isinstance(found, Keys), found
    return found


def first(body: Any, tier: Tier = "normalized", **fields: Any) -> str:
    return keys(body, tier, **fields).lookup[0][1]


def claude_code(session: str = SESSION, version: str = "2.1.197.b97") -> dict[str, Any]:
    """A request in Claude Code's shape."""
    user = {"device_id": session[::-1], "account_uuid": "", "session_id": session}
    return {
        "model": "claude-haiku-4-5",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}]},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": f"t{i}", "name": "B", "input": {}} for i in (1, 2)],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": "one"},
                    {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "two"}]},
                    {"type": "text", "text": "go on"},
                ],
            },
        ],
        "system": [
            {"type": "text", "text": f"x-anthropic-billing-header: cc_version={version}; cch=12ab;"},
            {"type": "text", "text": f"You help. Notes are in /tmp/{session}/pad.", "cache_control": {"type": "ephemeral"}},
        ],
        "tools": [{"name": "B", "input_schema": {"type": "object", "properties": {"cache_control": {"type": "string"}}}}],
        "metadata": {"user_id": json.dumps(user)},
        "max_tokens": 100,
        "stream": True,
    }


def test_two_runs_of_claude_code_are_one_request() -> None:
    """Session, device, attribution, cache_control and the order of parallel results do not count; nothing is changed."""
    one, two = claude_code(), claude_code(OTHER, "2.1.197.c01")
    two["messages"][2]["content"][:2] = reversed(two["messages"][2]["content"][:2])
    del two["messages"][0]["content"][0]["cache_control"]
    two["cache_control"] = {"type": "ephemeral"}
    before = copy.deepcopy(two)
    assert first(one, session_id=SESSION) == first(two, session_id=OTHER)
    assert two == before
    assert first(one, "exact", session_id=SESSION) != first(two, "exact", session_id=OTHER)


def _set(path: str, value: Any) -> Any:
    def change(body: dict[str, Any]) -> None:
        *way, last = [int(p) if p.isdigit() else p for p in path.split(".")]
        at: Any = body
        for step in way:
            at = at[step]
        at[last] = value

    return change


CHANGES = {
    "text": _set("messages.0.content.0.text", "hello!"),
    "role": _set("messages.0.role", "assistant"),
    "result": _set("messages.2.content.0.content", "three"),
    "inner result": _set("messages.2.content.1.content", [{"type": "text", "text": "2"}]),
    "error": _set("messages.2.content.0.is_error", True),
    "system": _set("system.1.text", "You do not help."),
    "tools": _set("tools.0.name", "C"),
    "schema": _set("tools.0.input_schema.properties.cache_control.type", "number"),
    "max_tokens": _set("max_tokens", 101),
    "stream": _set("stream", False),
    "unknown field": _set("brand_new", 1),
    "metadata": _set("metadata.other", "x"),
    "order of results and text": lambda b: b["messages"][2]["content"].reverse(),
    "a block less": lambda b: b["messages"][2]["content"].pop(),
    "another attribution-like text": _set("system.1.text", "not x-anthropic-billing-header: a"),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("tier", ["exact", "normalized"])
def test_what_changes_the_answer_changes_the_key(name: str, tier: Tier) -> None:
    """Each of them, in each tier."""
    changed = claude_code()
    CHANGES[name](changed)
    assert first(changed, tier) != first(claude_code(), tier)


FIELDS = {
    "tenant": b"u",
    "surface": "count_tokens",
    "model": "m2",
    "version": "2026-10-21",
    "betas": ["context-1m"],
    "query": "beta=true",
    "origin": "other.example:80",
}


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("tier", ["exact", "normalized", "suffix"])
def test_what_stands_beside_the_body_counts(name: str, tier: Tier) -> None:
    """Tenant, surface, model, version, betas and query; no key of one is a key of the other."""
    plain = {key for _, key in keys(claude_code(), tier).lookup}
    other = {key for _, key in keys(claude_code(), tier, **{name: FIELDS[name]}).lookup}
    assert not plain & other


def test_the_order_of_beta_flags_does_not_count() -> None:
    """Unless the request must be the same byte for byte."""
    one, two = {"betas": ["a,b", "c"]}, {"betas": ["c", "b, a"]}
    assert first({}, **one) == first({}, **two)
    assert first({}, "exact", **one) != first({}, "exact", **two)


text = st.text(max_size=20)
tenants = st.binary(max_size=12)
bodies = st.dictionaries(
    st.sampled_from(["model", "system", "messages", "max_tokens", "x"]), text | st.integers(), max_size=4
)


@given(tenants, tenants, bodies, text, text, st.sampled_from(["exact", "normalized", "suffix"]))
def test_no_key_is_shared_between_tenants(a: bytes, b: bytes, body: Any, model: str, query: str, tier: Tier) -> None:
    """Whatever they ask, and however their names run into the parts beside them."""
    one = {key for _, key in keys(body, tier, tenant=a, model=model, query=query).lookup}
    two = {key for _, key in keys(body, tier, tenant=b, model=model, query=query).lookup}
    assert (one == two) == (a == b)
    if a != b:
        assert not one & two


@given(text, text, text, text)
def test_parts_do_not_run_into_each_other(a: str, b: str, c: str, d: str) -> None:
    """Moving text from one part to the next gives another key."""
    one = first({}, "exact", model=a + b, version=c, query=d)
    assert one == first({}, "exact", model=a + b, version=c, query=d)
    if b:
        assert one != first({}, "exact", model=a, version=b + c, query=d)


secrets = st.binary(min_size=1, max_size=12).map(bytes.hex).map(str.encode)


@given(secrets, secrets)
def test_credentials_are_tenants(a: bytes, b: bytes) -> None:
    """The same one in either header is the same tenant, another is another; a scope is never a credential's tenant."""
    assert (tenant_of(None, ((b"x-api-key", a),)) == tenant_of(None, ((b"X-API-Key", b),))) == (a == b)
    assert tenant_of(None, ((b"authorization", b"Bearer " + a),)) == tenant_of(None, ((b"x-api-key", a), (b"cookie", b)))
    assert tenant_of(a.decode(), ()) != tenant_of(None, ((b"x-api-key", a),))
    assert tenant_of(a.decode(), ((b"x-api-key", a),)) == tenant_of(a.decode(), ((b"x-api-key", b),))


def test_suffix_looks_at_the_last_messages_only() -> None:
    """After the closer tier; everything but the earlier messages still counts."""
    one, two = claude_code(), claude_code()
    one["messages"] = [{"role": "user", "content": "early"}, {"role": "assistant", "content": "x"}, *one["messages"]]
    (normal, a), (tier, b) = keys(one, "suffix").lookup
    assert (normal, tier) == ("normalized", "suffix")
    assert keys(two, "suffix").lookup[0][1] != a
    assert keys(two, "suffix").lookup[1][1] == b
    two["max_tokens"] = 7
    assert keys(two, "suffix").lookup[1][1] != b


def test_the_operators_expressions() -> None:
    """Apply to texts of their part alone, in blocks and strings, tool results included."""
    rules = KeyRules("normalized", compile_strips(("Current date[^\\n]*",), ("<env>.*?</env>",)))

    def key(system: Any, content: Any) -> str:
        body = {"system": system, "messages": [{"role": "user", "content": content}]}
        return keys(body, rules=rules).lookup[0][1]

    assert key("a\nCurrent date: 1\nb", "c") == key("a\nCurrent date: 2\nb", "c")
    block = [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "<env>{}</env>"}]}]
    again = json.loads(json.dumps(block).replace("{}", "other"))
    assert key("a", block) == key("a", again)
    assert key("a", "Current date: 1") != key("a", "Current date: 2")
    assert key("<env>1</env>", "a") != key("<env>2</env>", "a")


def test_no_expression_can_hang() -> None:
    """What would keep a backtracking engine busy for ages is done at once."""
    rules = KeyRules("normalized", compile_strips((r"(a+)+$", r"(\w+\s?)*:"), ()))
    keys({"system": "a" * 200_000 + "!"}, rules=rules)
    with pytest.raises(ValueError, match="invalid"):
        compile_strips((), (r"(a)\1",))


def test_a_session_that_is_no_uuid_is_a_word_like_others() -> None:
    """A client that calls its session "yes" does not make "yes" and "no" the same prompt."""
    assert first({"system": "say yes"}, session_id="yes") != first({"system": "say no"}, session_id="no")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":NaN}', b'{"a":"\xff"}', b"\xef\xbb\xbf{}", b"[" * 5000])
@pytest.mark.parametrize("tier", ["exact", "normalized", "suffix"])
def test_what_cannot_be_read_strictly_is_left_alone(body: bytes, tier: Tier) -> None:
    """Another parser may read them differently."""
    assert isinstance(KeyMaker(KeyRules(tier)).keys(asked(body)), Bypass)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["system", "messages", "tools", "metadata", "cache_control"]), json_values))
def test_no_shape_breaks_it(body: dict[str, Any]) -> None:
    """Clients send what they like; a key or a bypass comes out, and twice the same."""
    one, two = (KeyMaker(KeyRules("suffix")).keys(asked(body, session_id=SESSION)) for _ in range(2))
    assert one == two


def test_the_latest_requests_are_remembered() -> None:
    """And forgotten again: the memory is bounded."""
    maker = KeyMaker(KeyRules("normalized"))
    made = [maker.keys(asked({"n": n})) for n in range(600)]
    assert len(maker._remembered) == 500
    assert [maker.keys(asked({"n": n})) for n in range(600)] == made
