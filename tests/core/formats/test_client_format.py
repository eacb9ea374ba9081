"""core/formats: what each client format does with a request."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.formats.bedrock.codec import count_request
from sluicegate.core.formats.registry import FORMATS, format_of
from sluicegate.core.messages.facts import RequestFacts
from sluicegate.core.translate.pairs import Malformed

USER = "user_1_account__session_0f0e0d0c-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("surface", "path", "body", "expected"),
    [
        ("messages", "/v1/messages", {"model": "m", "stream": True, "max_tokens": 5}, RequestFacts("m", True, 5)),
        (
            "chat_completions",
            "/v1/chat/completions",
            {"model": "gpt", "stream": True, "max_tokens": 5, "max_completion_tokens": 6, "user": "u"},
            RequestFacts("gpt", True, 6, "u"),
        ),
        ("chat_completions", "/v1/chat/completions", {"model": "gpt", "max_tokens": 5}, RequestFacts("gpt", False, 5)),
        ("bedrock", "/model/a%3A0/invoke", {"model": "no", "stream": True, "max_tokens": 5}, RequestFacts("a:0", False, 5)),
        ("bedrock", "/model/a/invoke-with-response-stream", {"max_tokens": 5}, RequestFacts("a", True, 5)),
        ("vertex", "/x/models/a@1:streamRawPredict", {"stream": True, "max_tokens": 5}, RequestFacts("a@1", True, 5)),
        ("vertex_count", "/x/models/count-tokens:rawPredict", {"model": "a@1"}, RequestFacts("a@1")),
        ("other", "/v1/files", {"model": "m"}, None),
    ],
)
def test_facts(surface: str, path: str, body: dict[str, object], expected: RequestFacts | None) -> None:
    """Each surface's own place for the model, whether it streams, and the user."""
    assert format_of(surface).read_facts(path, json.dumps(body).encode()) == expected


def test_a_count_at_bedrock_says_what_its_inner_body_says() -> None:
    """The session is found there."""
    inner = json.dumps({"max_tokens": 1, "metadata": {"user_id": USER}}).encode()
    facts = format_of("bedrock_count").read_facts("/model/m/count-tokens", count_request(inner))
    assert facts
    assert (facts.model, facts.session_id) == ("m", USER[-36:])


@given(
    st.sampled_from([f.name for f in FORMATS]),
    st.text(max_size=40),
    st.binary(max_size=60) | st.just(b'{"a":"\\ud800","b":NaN}'),
)
def test_nothing_makes_it_raise(surface: str, path: str, body: bytes) -> None:
    """Hostile paths and bodies."""
    format_of(surface).read_facts(path, body)


@pytest.mark.parametrize(
    ("surface", "path"),
    [
        ("messages", "/v1/messages?beta=true"),
        ("chat_completions", "/v1/chat/completions"),
        ("bedrock", "/model/a%3A0/invoke-with-response-stream?x=1"),
        ("bedrock_count", "/model/a/count-tokens"),
        ("vertex", "/v1/projects/p/locations/l/publishers/anthropic/models/a@1:rawPredict"),
        ("vertex_count", "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict"),
    ],
)
def test_another_model(surface: str, path: str) -> None:
    """It is put where the surface has it, in the path or in the body; all else stays."""
    body = format_of(surface).sendable_body(b'{"model":"a","z":1.0}')
    new_path, new_body = format_of(surface).rename(path, body, "b/c:1")
    found = format_of(surface).read_facts(new_path, new_body)
    assert found is not None
    assert found.model == "b/c:1"
    assert new_path[-8:] == path[-8:]
    assert b'"z":1.0' in format_of(surface).readable_body(new_body)


@pytest.mark.parametrize("surface", ["bedrock", "vertex"])
def test_a_path_without_a_model_has_no_other(surface: str) -> None:
    """ValueError, and not a request to somewhere else."""
    with pytest.raises(ValueError, match="does not name a model"):
        format_of(surface).rename("/nothing", b"{}", "b")


@pytest.mark.parametrize(
    ("surface", "path"),
    [
        ("chat_completions", "/v1/chat/completions"),
        ("bedrock", "/model/m/invoke"),
        ("bedrock", "/elsewhere"),
        ("bedrock_count", "/model/m/count-tokens"),
        ("vertex", "/x/models/m:rawPredict"),
        ("vertex", "/elsewhere"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense"])
def test_what_makes_no_sense(surface: str, path: str, body: bytes) -> None:
    """Malformed, never another error."""
    with pytest.raises(Malformed):
        format_of(surface).decode_request(path, body, model="m")


@given(st.sampled_from([f.name for f in FORMATS]), st.text(max_size=30), st.binary(max_size=50))
def test_nothing_else_is_raised(surface: str, path: str, body: bytes) -> None:
    """However hostile."""
    with contextlib.suppress(Malformed):
        format_of(surface).decode_request(path, body, model="m")
