"""Vertex AI: what is sent, who is let in, and how its answers come back."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from sluicegate.core.errors import Refused
from sluicegate.core.messages.grammar import check_stream
from sluicegate.core.wire.sse import SSEParser
from sluicegate.providers.auth.held_keys import CredentialError
from sluicegate.providers.base import SigningInput
from sluicegate.settings.secret import Secret

MODEL = "claude-sonnet-4-5@20250929"
GCP = {"kind": "vertex", "project": "p", "location": "us-east5"}


@pytest.fixture
def here(provider, sim):
    """A provider whose base URL is the simulator."""

    def made(**settings: Any) -> Any:
        return provider({"T": "tok"}, **{**GCP, "base_url": sim.url, "token": Secret("env:T"), **settings})

    return made


def test_a_message_and_a_stream(here, send, asked, sim) -> None:
    """The model in the path, the token as Bearer."""
    assert send(here(), asked(), "text=hello", model=MODEL).json["content"][0]["text"] == "hello"
    answer = send(here(), asked(stream=True), "text=hello", model=MODEL)
    assert answer.text == "hello"
    assert check_stream(SSEParser().feed(answer.body)) == []
    call = sim.calls[-1]
    place = "/v1/projects/p/locations/us-east5/publishers/anthropic/models"
    assert call.path == f"{place}/claude-sonnet-4-5@20250929:streamRawPredict"
    assert call.credential == "tok"


def test_what_is_sent(here, send, asked, sim) -> None:
    """Betas stay a header, but for those that only Anthropic has; automatic caching is known there."""
    fields = ((b"anthropic-beta", b"context-1m-2025-08-07,oauth-2025-04-20"), (b"anthropic-version", b"2023-06-01"))
    mark = {"type": "ephemeral"}
    assert send(here(), asked(fields=fields, cache_control=mark, service_tier="auto"), model=MODEL).status == 200
    call = sim.calls[-1]
    assert call.header("anthropic-beta") == "context-1m-2025-08-07"
    assert call.header("anthropic-version") is None
    body = json.loads(call.body)
    assert body["cache_control"] == mark
    assert body["anthropic_version"] == "vertex-2023-10-16"
    assert not {"model", "service_tier"} & body.keys()


def test_tokens_are_counted(here, send, asked) -> None:
    """At a path of its own."""
    assert send(here(), asked("count_tokens"), model=MODEL).json == {"input_tokens": 1}


@pytest.mark.parametrize(
    ("sim_status", "status", "kind"),
    [
        (400, 400, "invalid_request_error"),
        (429, 429, "rate_limit_error"),
        (529, 529, "overloaded_error"),
        (504, 504, "timeout_error"),
    ],
)
def test_errors_are_native(here, send, asked, sim_status: int, status: int, kind: str) -> None:
    """Google's status as the Messages API's, in Google's words."""
    answer = send(here(), asked(), f"status={sim_status};error_message=why", model=MODEL)
    assert (answer.status, answer.json["error"]) == (status, {"type": kind, "message": "why"})


def test_an_error_in_claudes_own_words_stays_as_it_is(here) -> None:
    """Some come through Vertex unchanged: clients know their wording."""
    body = b'{"type":"error", "error":{"type":"invalid_request_error","message":"prompt is too long: 1 > 0"}}'
    prepared_error = here().classify(400, {}, body)
    assert prepared_error.status == 400


def test_native_errors_pass(here, asked) -> None:
    """Byte for byte."""
    body = b'{"type":"error", "error":{"type":"invalid_request_error","message":"prompt is too long: 1 > 0"}}'
    answered = here().prepare(asked(), model=MODEL).plan_response(400, {}, id="x", now_s=0)
    assert answered.transform.feed(body) + answered.transform.end() == body


def test_large_requests_are_refused(here, asked) -> None:
    """Vertex takes 30 MB."""
    with pytest.raises(Refused) as caught:
        here().prepare(asked(system="x" * (30 << 20)), model=MODEL)
    assert caught.value.status == 413


def test_regions(provider) -> None:
    """A target's own region is at that region's host; global has no prefix."""
    p = provider({"T": "t"}, token=Secret("env:T"), **GCP)
    assert p.origin().host == "us-east5-aiplatform.googleapis.com"
    assert p.origin("europe-west1").host == "europe-west1-aiplatform.googleapis.com"
    assert p.origin("global").host == "aiplatform.googleapis.com"


def test_a_token_belongs_to_google(provider) -> None:
    """Other hosts get none; after a 401 it is read anew."""
    (source,) = provider({"T": "tok"}, token=Secret("env:T"), **GCP).sources
    with pytest.raises(CredentialError):
        source.fields(SigningInput("POST", True, "aiplatform.googleapis.com", "", "/", (), b"", 0))
    asyncio.run(source.ready())
    assert source.fields(SigningInput("POST", True, "aiplatform.googleapis.com", "", "/", (), b"", 0))
    with pytest.raises(CredentialError):
        source.fields(SigningInput("POST", True, "googleapis.com.evil.example", "", "/", (), b"", 0))
    assert source.refused()


def test_a_clients_own_credential_is_not_passed_on(here) -> None:
    """It is none of Google's."""
    with pytest.raises(Refused):
        here().forwarded(((b"x-api-key", b"k"),), "aiplatform.googleapis.com")
