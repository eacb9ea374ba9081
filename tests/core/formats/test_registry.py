"""core/formats/registry.py: every client format is there, and each of its slots does what it says."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

import sluicegate
from sluicegate.core.errors import ERROR_STATUS
from sluicegate.core.formats.bedrock.codec import count_request
from sluicegate.core.formats.client_format import ClientFormat
from sluicegate.core.formats.no_conversation import MODELS, OTHER
from sluicegate.core.formats.path_endings import Action, Item, PathEnding, Tail, Verb
from sluicegate.core.formats.registry import ALL, FORMATS, format_of, served
from sluicegate.core.formats.surfaces import format_at
from sluicegate.core.redact.walk.body_shapes import shape_at
from sluicegate.core.redact.walk.json_walk import walk
from sluicegate.core.translate.pairs import Malformed
from sluicegate.core.wire.eventstream import FrameDecoder
from sluicegate.core.wire.sse import SSEParser

SURFACES = (
    "messages",
    "count_tokens",
    "chat_completions",
    "bedrock",
    "bedrock_count",
    "vertex",
    "vertex_count",
    "models",
    "other",
)
"""As records, metrics and the audit name them. A name that was released stays."""

PACKAGE = Path(sluicegate.__file__).parent

every = pytest.mark.parametrize("format", ALL, ids=lambda f: f.name)
conversations = pytest.mark.parametrize("format", FORMATS, ids=lambda f: f.name)

PROJECT = "/v1/projects/p/locations/l/publishers/anthropic/models"
PATHS = {
    "messages": "/v1/messages",
    "count_tokens": "/v1/messages/count_tokens",
    "chat_completions": "/v1/chat/completions",
    "bedrock": "/model/m/invoke-with-response-stream",
    "bedrock_count": "/model/m/count-tokens",
    "vertex": f"{PROJECT}/m:streamRawPredict",
    "vertex_count": f"{PROJECT}/count-tokens:rawPredict",
    "models": "/v1/models/m",
    "other": "/v1/files",
}
BODY = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "planted"}]}


def body_of(format: ClientFormat) -> bytes:
    """A request with BODY's conversation, as a client of this format sends it."""
    return format.sendable_body(json.dumps(BODY).encode())


# -- the registry


def test_every_surface_has_a_format() -> None:
    """The names are the released ones, each once, and each leads to its own format."""
    assert tuple(f.name for f in ALL) == SURFACES
    assert [format_of(name) for name in SURFACES] == list(ALL)
    assert set(PATHS) == set(SURFACES)


def test_a_name_of_a_later_version_is_of_no_format() -> None:
    """A record in a shared store may have one."""
    assert format_of("responses") is OTHER


def test_no_slot_has_a_default() -> None:
    """A new format cannot forget one: without it there is no object."""
    assert [f.name for f in fields(ClientFormat) if f.default is not MISSING or f.default_factory is not MISSING] == []
    with pytest.raises(TypeError, match="required keyword-only argument"):
        ClientFormat(name="new", kind="answers")  # type: ignore[call-arg]


@every
def test_every_slot_is_filled(format: ClientFormat) -> None:
    """None stands only where the slot's own words allow it."""
    may_be_none = {"served_as", "usual_path", "body_shape", "ping"}
    assert {f.name for f in fields(ClientFormat) if getattr(format, f.name) is None} <= may_be_none


def test_no_two_rows_of_paths_are_the_same() -> None:
    """One row would hide the other."""

    def key(row: PathEnding) -> tuple[Any, ...]:
        match row:
            case Tail() | Item():
                return (type(row), row.segments)
            case Action():
                return (Action, row.name)
            case Verb():
                return (Verb, row.id, row.name)

    keys = [key(row) for f in ALL for row in f.paths]
    assert len(set(keys)) == len(keys)
    assert all(row.word == row.word.lower() for f in ALL for row in f.paths)


def test_the_registry_loads_no_translation() -> None:
    """It would cost every start a tenth of a second: slots that translate import it when they are called."""
    code = "import sys, sluicegate.core.formats.surfaces; print([m for m in sys.modules if 'translate.' in m])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def names_a_surface(node: ast.AST) -> bool:
    """Whether a piece of code goes by the name of a surface: `x.surface == "messages"`, `match x.surface`."""
    match node:
        case ast.Compare():
            parts = [node.left, *node.comparators]
            literal = any(isinstance(part, ast.Constant | ast.Tuple | ast.Set) for part in parts)
            return literal and any(isinstance(part, ast.Attribute) and part.attr == "surface" for part in parts)
        case ast.Match(ast.Attribute(attr="surface")):
            return True
    return False


def test_only_formats_and_providers_go_by_a_surfaces_name() -> None:
    """Elsewhere a new format would be missed without an error: other code asks the format."""
    found = [
        f"{file.relative_to(PACKAGE)}:{node.lineno}"
        for file in PACKAGE.rglob("*.py")
        if file.relative_to(PACKAGE).parts[0] not in ("providers", "simulator")
        for node in ast.walk(ast.parse(file.read_bytes()))
        if names_a_surface(node)
    ]
    assert found == []
    assert names_a_surface(ast.parse('x.surface in ("messages", "vertex")', mode="eval").body)


# -- what is asked of every format


@every
def test_paths_lead_to_their_format(format: ClientFormat) -> None:
    """By POST; a conversation is not asked for by another method."""
    path = PATHS[format.name]
    assert format_at("POST", path + "?x=1") is format
    assert format_at("GET", path).name == ("other" if format.inference else format.name)
    if format.usual_path:
        assert format_at("POST", format.usual_path) is format
        assert format_at("POST", f"/x/..{format.usual_path}/") is format


@every
def test_the_kind_says_what_is_asked_for(format: ClientFormat) -> None:
    """Answers and counts hold a conversation; the rest does not."""
    assert (format.answers, format.inference) == {
        "answers": (True, True),
        "counts": (False, True),
        "none": (False, False),
    }[format.kind]
    assert format.known or not format.inference


def shown_by_messages(body: bytes) -> tuple[str, str]:
    error = json.loads(body)["error"]
    return error["type"], error["message"]


def shown_by_chat(body: bytes) -> tuple[str, str]:
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error["code"] or error["type"], error["message"]


def shown_by_bedrock(body: bytes) -> tuple[str, str]:
    value = json.loads(body)
    assert set(value) == {"message"}
    return "", value["message"]


SHOWN: dict[str, Callable[[bytes], tuple[str, str]]] = {
    "chat_completions": shown_by_chat,
    "bedrock": shown_by_bedrock,
    "bedrock_count": shown_by_bedrock,
}
"""How a client reads an error body; all other formats as the Messages API."""


@every
@pytest.mark.parametrize(("kind", "status"), ERROR_STATUS.items())
def test_every_error_type_has_words_on_every_surface(format: ClientFormat, kind: str, status: int) -> None:
    """As an answer and in a stream; no type is left out, and its status is an error's."""
    answer = format.error_answer(status, kind, "why \ud800", "sg_1")
    shown = SHOWN.get(format.name, shown_by_messages)
    assert 400 <= answer.status < 600
    assert answer.fields["content-type"] == "application/json"
    assert shown(answer.body)[1] == "why ?"
    assert format.shown_status(status) == answer.status
    assert b"why ?" in format.error_in_stream(kind, "why \ud800")


@every
def test_the_error_body_is_of_the_formats_own_shape(format: ClientFormat) -> None:
    """A client finds the type where its SDK looks for it."""
    answer = format.error_answer(429, "rate_limit_error", "slow", "sg_1")
    kind, message = SHOWN.get(format.name, shown_by_messages)(answer.body)
    assert message == "slow"
    expected = {"chat_completions": "rate_limit_exceeded", "bedrock": "", "bedrock_count": ""}
    assert kind == expected.get(format.name, "rate_limit_error")
    assert answer.fields.get("x-amzn-errortype") == ("ThrottlingException" if kind == "" else None)


@every
def test_the_last_event_can_be_read(format: ClientFormat) -> None:
    """Whatever was cut off before it; nothing is said to what is not a stream."""
    assert format.last_event("application/json", "over") == b""
    frames = format.stream_type.startswith("application/")
    last = format.last_event(format.stream_type if frames else "text/event-stream; charset=utf-8", "over")
    if frames:
        (frame,) = FrameDecoder().feed(last)
        assert frame.text(":message-type") == "exception"
        assert json.loads(frame.payload) == {"message": "over"}
        return
    *_, event = SSEParser().feed(b'event: half\ndata: {"cut' + last)
    assert json.loads(event.data)["error"]["message"] == "over"


@every
def test_a_ping_says_nothing(format: ClientFormat) -> None:
    """Only a format with streams has one: a ping event, or a comment."""
    if format.ping is None:
        assert not format.answers or format.name == "bedrock"
        return
    assert format.answers
    assert [event.event for event in SSEParser().feed(format.ping)] in ([], [b"ping"])


# -- what is asked of those with a conversation


@conversations
def test_facts_name_the_model_and_nothing_is_read_of_what_is_not_json(format: ClientFormat) -> None:
    """From the path or the body, where the format has it."""
    facts = format.read_facts(PATHS[format.name], body_of(format))
    assert facts
    assert facts.model == "m"
    assert format.read_facts(PATHS[format.name], b"no JSON") is None


@conversations
def test_a_renamed_request_names_the_other_model_and_comes_back(format: ClientFormat) -> None:
    """All else stays: renamed back, the request is the same."""
    path, body = PATHS[format.name], format.sendable_body(b'{"max_tokens":5,"model":"m"}')
    other = format.rename(path, body, "n@1")
    facts = format.read_facts(*other)
    assert facts
    assert facts.model == "n@1"
    assert format.rename(*other, "m") == (path, body)


@conversations
def test_the_walk_finds_what_is_said_and_leaves_the_structure(format: ClientFormat) -> None:
    """A planted string in a message is scanned; the names of the API are not."""
    shape = format.body_shape or shape_at(PATHS[format.name])
    texts = [leaf.text for leaf in walk(json.loads(format.readable_body(body_of(format))), shape)]
    assert "planted" in texts
    assert not {"m", "user", "model", "messages", "role"} & set(texts)


@conversations
def test_what_was_read_can_be_sent(format: ClientFormat) -> None:
    """A readable body becomes the same request again, however it is wrapped."""
    body = body_of(format)
    assert format.sendable_body(format.readable_body(body)) == body
    assert json.loads(format.readable_body(body))["messages"] == BODY["messages"]
    assert format.name != "bedrock_count" or body == count_request(json.dumps(BODY).encode())


@conversations
def test_a_request_becomes_one_of_the_messages_api(format: ClientFormat) -> None:
    """With its model, its conversation, and a count as a count."""
    decoded = format.decode_request(PATHS[format.name], body_of(format), model="m")
    assert decoded.surface == ("messages" if format.answers else "count_tokens")
    value = json.loads(decoded.body)
    assert value["model"] == "m"
    assert "planted" in json.dumps(value["messages"])
    assert decoded.dropped == ()
    if format.speaks_messages:
        assert decoded.body == body_of(format)


@conversations
def test_an_answer_of_the_messages_api_goes_back(format: ClientFormat) -> None:
    """Every status has a head; an error stays an error, in the client's own shape."""
    decoded = format.decode_request(PATHS[format.name], body_of(format), model="m")
    error = b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'
    encoded = decoded.encode_response(529, "application/json", id="sg_1", now_s=0)
    body = encoded.transform.feed(error) + encoded.transform.end() if encoded.transform else error
    assert encoded.status == format.error_answer(529, "overloaded_error", "").status
    assert SHOWN.get(format.name, shown_by_messages)(body)[1] == "busy"


# -- paths without a conversation


@pytest.mark.parametrize("format", [MODELS, OTHER], ids=lambda f: f.name)
def test_paths_without_a_conversation_are_left_alone(format: ClientFormat) -> None:
    """No facts, no translation, no cache markers."""
    assert format.read_facts("/v1/models", b'{"model":"m"}') is None
    assert not any((format.speaks_messages, format.keeps_thinking, format.takes_cache_markers))
    assert format.served_as is None
    with pytest.raises(Malformed):
        format.decode_request("/v1/models", b"{}", model="m")


def test_what_the_gate_serves_is_said_in_a_sentence() -> None:
    """For a client that asked for something else."""
    assert served() == (
        "POST /v1/messages, POST /v1/chat/completions (for clients of the Responses API: set them to Chat Completions), "
        "Bedrock's InvokeModel and Vertex' rawPredict"
    )
