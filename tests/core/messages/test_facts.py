"""Requests: which model, and how to change the model."""

import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kits.recorded import Recording, recordings
from sluicegate.core.messages.facts import (
    RequestFacts,
    agent_of,
    read_request,
    rename_model,
    session_of,
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"a","stream":true,"max_tokens":5}', RequestFacts("a", True, 5)),
        (b'{"model":"a","model":"b"}', RequestFacts("b")),
        (b'{"\\u006dodel":"a"}', RequestFacts("a")),
        (b'{"model":1,"stream":"true","max_tokens":"5"}', RequestFacts()),
        (b'{"stream":1,"max_tokens":true,"metadata":[]}', RequestFacts()),
        (b'{"max_tokens":36893488147419103232}', RequestFacts(max_tokens=2**65)),
        (b'{"max_tokens":1.0}', RequestFacts()),
        (b'{"metadata":{"user_id":7}}', RequestFacts()),
        (b"{}", RequestFacts()),
        (b' \n{"model":"a"}\r\n', RequestFacts("a")),
        # what msgspec does not read and a lenient server does
        (b'{"model":"a","x":"\\ud800"}', RequestFacts("a")),
        (b'{"model":"a\\ud800"}', RequestFacts("a?")),
        (b'{"model":"a","x":NaN,"y":-Infinity}', RequestFacts("a")),
        (b'{"model":"a","x":"\x01"}', RequestFacts("a")),
        (b'{"model":"a","x":01}', RequestFacts("a")),
        (b'{"model":"a","x":"\xff"}', RequestFacts("a")),
        (b'{"model":"a\xff"}', RequestFacts("a\N{REPLACEMENT CHARACTER}")),
        (b'\xef\xbb\xbf{"model":"a"}', RequestFacts("a")),
        (b'{"model":"a",}', RequestFacts("a")),
        ('{"model":"a"}'.encode("utf-16"), RequestFacts("a")),
        ('{"model":"a"}'.encode("utf-16-le"), RequestFacts("a")),
        ('{"model":"a"}'.encode("utf-32"), RequestFacts("a")),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b',"model":"a"}', RequestFacts("a")),
        (b'{"x":' + b'{"y":' * 100_000 + b"1" + b"}" * 100_000 + b',"model":"a"}', RequestFacts("a")),
        (b'{"x":NaN,"model":"a","model":"b"}', RequestFacts("b")),
        (b'{"x":NaN,"y":{"model":"c"},"model":"a","z":[{"model":"d"}]}', RequestFacts("a")),
        (b'{"x":NaN,"y":"\\"model\\":\\"z\\"","model":"a"}', RequestFacts("a")),
    ],
)
def test_read_request(body: bytes, expected: RequestFacts) -> None:
    """Strict and lenient readers see the same facts; wrong types count as absent; the last of duplicate keys counts."""
    assert read_request(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"model"',
        b"{",
        b'{"model"',
        b'{"model":',
        b'{"model":}',
        b'{"model":"a"',
        b'{"model":"a"} x',
        b'{"model":"a"}{}',
        b'{"model" "a"}',
        b'{1:"a"}',
        b'{"a":NaN "b":1}x',
        b'{"x":"unterminated}',
        b"\xff\xfe",
        b"\x00",
        b"model=a",
        b"--boundary",
    ],
)
def test_what_is_no_object_has_no_facts(body: bytes) -> None:
    """The provider says what is wrong with it."""
    assert read_request(body) is None
    with pytest.raises(ValueError):
        rename_model(body, "b")


@given(st.binary(max_size=80))
def test_random_bodies_never_raise(body: bytes) -> None:
    """Anything at all is read or not, and renamed exactly where it is read."""
    if read_request(body) is None:
        with pytest.raises(ValueError):
            rename_model(body, "b")
    else:
        renamed = read_request(rename_model(body, "b"))
        assert renamed is not None
        assert renamed.model == "b"


@pytest.mark.parametrize("unit", [b'"', b'\\"', b'{"a":"', b"[", b"{", b",", b'"a":', b"\\", b'"\\'])
def test_hostile_bodies_take_linear_time(unit: bytes) -> None:
    """Ten times the body takes about ten times the time."""

    def seconds(n: int) -> float:
        body = b'{"x":NaN,"y":' + unit * n
        started = time.process_time()
        read_request(body)
        return time.process_time() - started

    seconds(1000)
    assert seconds(200_000) < 40 * seconds(20_000) + 0.05


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=6), JSON, max_size=6), st.booleans(), st.sampled_from([None, 1, (", ", " : ")]))
def test_renaming_changes_the_model_only(fields: dict[str, object], named: bool, style: object) -> None:
    """Every other value stays as it is written, every key in its place."""
    if named:
        fields = {**fields, "model": "old", "last": 1.50}
    separators = style if isinstance(style, tuple) else None
    body = json.dumps(fields, separators=separators, ensure_ascii=bool(style)).encode("utf-8", "surrogatepass")
    renamed = rename_model(body, "new")
    again = json.loads(renamed)
    assert again["model"] == "new"
    assert {**again, "model": None} == {**json.loads(body), "model": None}
    if named:
        assert list(again) == list(fields)


@pytest.mark.parametrize(
    "value",
    [b"1.0", b"1e5", b"36893488147419103232", b'"\\u00e9"', b'"\xc3\xa9"', b"[ 1,\n2 ]", b'{"b":1,"a":2, "b":3}', b"-0.0"],
)
def test_other_values_keep_their_bytes(value: bytes) -> None:
    """Numbers, escapes and white space inside values are not written anew, whichever way it is read."""
    assert value in rename_model(b'{"model":"a","x":' + value + b"}", "b")
    assert rename_model(b'{"n":NaN, "model" : "a" ,"x":' + value + b"}", "b") == (
        b'{"n":NaN, "model" : "b" ,"x":' + value + b"}"
    )


@pytest.mark.parametrize("recording", recordings("anthropic"), ids=lambda r: r.id)
def test_recorded_requests(recording: Recording) -> None:
    """Real requests are read; renamed to their own model they mean the same."""
    request = json.loads(recording.request)
    request = request.get("body", request)
    body = msgspec.json.encode(request)
    facts = read_request(body)
    assert facts is not None
    assert facts.model == request.get("model")
    assert facts.stream == request.get("stream", False)
    if facts.model:
        assert rename_model(body, facts.model) == body


def test_models_are_bounded() -> None:
    """A name cannot fill our tables and logs."""
    facts = read_request(b'{"model":"' + b"x" * 100_000 + b'"}')
    assert facts is not None
    assert len(facts.model or "") == 256


@pytest.mark.parametrize(
    ("user_id", "session"),
    [
        ("user_abc_account__session_0a1b2c3d-1111-2222-3333-444455556666", "0a1b2c3d-1111-2222-3333-444455556666"),
        ('{"session_id":"s-1","device_id":"d"}', "s-1"),
        ('{"session_id":"bad\\n\\u0000id"}', "badid"),
        ('{"session_id":7}', None),
        ("{not json", None),
        ("someone", None),
        ("_session_" * 10_000, None),
        ("", None),
    ],
)
def test_sessions(user_id: str, session: str | None) -> None:
    """Both shapes of Claude Code's `metadata.user_id`; nothing unprintable comes out."""
    facts = read_request(msgspec.json.encode({"metadata": {"user_id": user_id}}))
    assert session_of({}, facts) == session


def test_headers_go_before_the_body() -> None:
    """Claude Code names session and sub-agent in headers."""
    facts = RequestFacts(session_id="from-body")
    assert session_of({"x-claude-code-session-id": "h\r\n"}, facts) == "h"
    assert session_of({"x-claude-code-session-id": "\u00e9"}, facts) == "from-body"
    assert session_of({}, None) is None
    assert agent_of({"x-claude-code-agent-id": "a" * 500}) == "a" * 128
    assert agent_of({}) is None
