"""core/formats/error_format.py: the gate's own errors, in each client's format."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from sluicegate.core.errors import ERROR_TYPES, error_body
from sluicegate.core.formats.error_format import error_answer, error_in_stream
from sluicegate.core.formats.surfaces import Surface
from sluicegate.core.wire.eventstream import FrameDecoder


@pytest.mark.parametrize("surface", ["messages", "count_tokens", "vertex", "models", "other"])
def test_native_errors(surface: Surface) -> None:
    """As everywhere in the gate."""
    said = error_answer(surface, 429, "rate_limit_error", "slow", "sg_1")
    assert (said.status, json.loads(said.body)) == (429, json.loads(error_body(429, "slow", request_id="sg_1")))


def test_chat_completions() -> None:
    """OpenAI's document; an overload is a 503 there."""
    said = error_answer("chat_completions", 529, "overloaded_error", "busy")
    assert said.status == 503
    assert json.loads(said.body)["error"]["message"] == "busy"
    assert error_in_stream("chat_completions", "api_error", "no").startswith(b'data: {"error":')


def test_bedrock() -> None:
    """An exception by name, as an answer and as a frame."""
    said = error_answer("bedrock", 429, "rate_limit_error", "slow")
    assert (said.status, said.fields["x-amzn-errortype"], said.body) == (429, "ThrottlingException", b'{"message":"slow"}')
    (frame,) = FrameDecoder().feed(error_in_stream("bedrock", "overloaded_error", "busy"))
    assert frame.text(":exception-type") == "serviceUnavailableException"
    assert frame.payload == b'{"message":"busy"}'


@pytest.mark.parametrize("surface", get_args(Surface))
def test_every_error_type_has_words_on_every_surface(surface: Surface) -> None:
    """No type is left out."""
    for status, kind in ERROR_TYPES.items():
        said = error_answer(surface, status, kind, "why")
        assert 400 <= said.status < 600
        assert b"why" in said.body
        assert b"why" in error_in_stream(surface, kind, "why")
