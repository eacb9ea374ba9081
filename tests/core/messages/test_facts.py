"""Requests: which surface, which model, and how to change the model."""

import json
import re
import time
from typing import get_args
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kits.recorded import Recording, recordings
from sluicegate.core.formats.surfaces import Surface, surface
from sluicegate.core.messages.facts import (
    RequestFacts,
    agent_of,
    read_request,
    rename_model,
    session_of,
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/messages", "messages"),
        ("/v1/messages?beta=true", "messages"),
        ("/v1/messages/count_tokens", "count_tokens"),
        ("/v1/models", "models"),
        ("/v1/models/claude-haiku-4-5", "models"),
        ("/v1/messages/batches", "other"),
        ("/v1/messages/batches/msgbatch_1/results", "other"),
        ("/v1/files", "other"),
        ("/", "other"),
        ("", "other"),
        ("*", "other"),
        ("/v1/chat/completions", "chat_completions"),
        ("/openai/v1/chat/completions?x=1", "chat_completions"),
        ("/v1/completions", "other"),
        ("/model/us.anthropic.claude-opus-4-1-20250805-v1%3A0/invoke", "bedrock"),
        ("/model/us.anthropic.claude-opus-4-1-20250805-v1:0/invoke-with-response-stream", "bedrock"),
        ("/model/arn%3Aaws%3Abedrock%3Aus-west-2%3A1%3Ainference-profile%2Fx/invoke", "bedrock"),
        ("/model/m/count-tokens", "bedrock_count"),
        ("/model/invoke", "other"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/claude@1:rawPredict", "vertex"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/claude@1:streamRawPredict", "vertex"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/claude%401%3ArawPredict", "vertex"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict", "vertex_count"),
        ("/v1/projects/p/locations/l/publishers/google/models/gemini:generateContent", "other"),
        ("/v1/files?x=/v1/messages", "other"),
        ("/v1/messagesx", "other"),
        ("/v1/messages/x", "other"),
        ("/v2/messages", "other"),
        ("/api/event_logging/batch", "other"),
        ("/v1/files/100%25", "other"),
        ("/v1/files/%", "other"),
        ("/v1/messages/../../v2/messages", "other"),
    ],
)
def test_surfaces(path: str, expected: str) -> None:
    """The paths of the Messages API."""
    assert surface("POST", path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "//v1//messages",
        "/v1/messages/",
        "/V1/Messages",
        "/v1/./messages",
        "/v1/x/../messages",
        "/x/../v1/messages",
        "/v1/x/%2e%2e/messages",
        "/v1/x/..;a=b/messages",
        "/v1/%6dessages",
        "/v1%2fmessages",
        "/%2576%31/messages",
        "/v1/%25256dessages",
        "/v1\\messages",
        "/v1%5cmessages",
        "/v1;x/messages",
        "/v1/messages;jsessionid=1",
        "/v1/messages;a/b",
        "/v1/messages#x",
        "/v1/messages%23/y",
        "/a%23/../v1/messages",
        "/v1/messages%3fx=1",
        "/v1/messages%00",
        "/v1/messages%00.png",
        "/v1/messages%20",
        "/v1/messages%0a",
        "/v1/ messages",
        "/anthropic/v1/messages",
        "/api/v1/v1/messages",
        "/../../v1/messages",
        "http://host/v1/messages",
        "/v1/messages//..",
        "/v1/messages/x/%2e%2e//..",
        "/v1/%2e%2e/v1/messages//%2e%2e",
        "/v1/messages/x//../..",
        "/v1/messages/%2f/..",
        "/v1/messages\\\\..",
        "/v1/messages;a//..;b",
        "/v1//../messages",
        "/v1/x%2fy/../messages",
        "/v1/x%2fy/%2e%2e/messages",
        "/v1/messages/;/count_tokens",
        "/v1/%252525256dessages",
        "/x" * 40 + "/v1/messages",
        "/x" * 2000 + "/v1/messages",
        "/v1/%6dessages" + "/" * 3000,
    ],
)
def test_no_spelling_of_an_inference_call_passes_as_other(path: str) -> None:
    """What some server would take for /v1/messages is governed as /v1/messages."""
    assert surface("POST", path) == "messages"
    assert surface("post", path + "?beta=true") == "messages"


SEPARATORS = st.sampled_from(["/", "//", "/./", "/x/../", "%2f", "\\", "%2F", "/%2e/"])


SPELLED = {
    "messages": ["v1", "messages"],
    "count_tokens": ["v1", "messages", "count_tokens"],
    "chat_completions": ["v1", "chat", "completions"],
    "bedrock": ["model", "m", "invoke-with-response-stream"],
    "bedrock_count": ["model", "m", "count-tokens"],
    "vertex": ["models", "m:rawPredict"],
    "vertex_count": ["models", "count-tokens:rawPredict"],
}


@given(st.data(), st.sampled_from(sorted(SPELLED)))
def test_any_mixture_of_spellings(data: st.DataObject, expected: str) -> None:
    """Case, percent-encoding (up to three times) and separators in any combination."""

    def spell(c: str) -> str:
        return data.draw(st.sampled_from([c, c.upper(), f"%{ord(c):02x}", f"%{ord(c):02X}", f"%25{ord(c):02x}"]))

    path = "".join(data.draw(SEPARATORS) + "".join(map(spell, w)) for w in SPELLED[expected])
    stricter = {"vertex"} if expected == "vertex_count" else set()  # who does not decode it reads another action
    assert surface("POST", path) in {expected, *stricter}


@given(st.text(max_size=60))
def test_any_path_has_a_surface(path: str) -> None:
    """No path makes it raise."""
    assert surface("POST", path) in get_args(Surface)


def test_inference_is_asked_by_post() -> None:
    """Other methods on these paths are no inference; models may be asked by any."""
    assert surface("GET", "/v1/messages") == "other"
    assert surface("DELETE", "/v1/messages/count_tokens") == "other"
    assert surface("GET", "/v1/models") == "models"
    assert surface("GET", "/v1/chat/completions") == "other"
    assert surface("GET", "/model/m/invoke") == "other"


PIECES = ["v1", "messages", "x", "", ".", "..", "%2e%2e", "%2E", "%2f", "x%2fy", "%256dessages", ";", "..;a"]


def resolved(path: str, *, collapse: bool) -> str:
    """Dot segments removed as RFC 3986, 5.2.4 writes it, from the text itself; slashes at both ends do not count."""
    path = re.sub("/+", "/", path) if collapse else path
    out = ""
    while path:
        if path.startswith("/./") or path == "/.":
            path = "/" + path[3:]
        elif path.startswith("/../") or path == "/..":
            path, out = "/" + path[4:], out[: max(out.rfind("/"), 0)]
        else:
            end = path.find("/", 1)
            end = len(path) if end < 0 else end
            path, out = path[end:], out + path[:end]
    return re.sub("/+", "/", out).strip("/")


@given(st.lists(st.sampled_from(PIECES), max_size=8), st.integers(0, 2), st.booleans())
def test_no_reading_of_a_path_is_missed(pieces: list[str], decodings: int, collapse: bool) -> None:
    """A server that decodes so often, and keeps or collapses empty segments, gets no inference call past us."""
    path = "/" + "/".join(pieces)
    text = path
    for _ in range(decodings):
        text = unquote(text)
    reading = resolved(text, collapse=collapse)
    if re.search("(^|/)v1/messages$", reading):
        assert surface("POST", path) == "messages"
    elif re.search("(^|/)v1/messages/count_tokens$", reading):
        assert surface("POST", path) in ("messages", "count_tokens")


@pytest.mark.parametrize("unit", ["/", "/v1", "/..", "%25", "%252f", ";", "\\", "/v1/messages", "/.%2e;%23", "%2525252525"])
@pytest.mark.parametrize("size", [300, 2000, 60_000])
def test_hostile_paths_take_little_time(unit: str, size: int) -> None:
    """However it is built, a path is read in a few ways, of few segments."""
    path = (unit * size)[:size] + "/v1/messages"
    best = 1.0
    for _ in range(20):
        started = time.process_time()
        surface("POST", path)
        best = min(best, time.process_time() - started)
    assert best < 0.005


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
    """A name can not fill our tables and logs."""
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
