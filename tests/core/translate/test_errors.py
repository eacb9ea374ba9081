"""core/translate/errors.py: statuses, types and the provider's own words, both ways."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kits.sdks as sdks
from sluicegate.core.translate.pairs import (
    ChatToMessages,
    MessagesToChat,
    RequestState,
    Translator,
)

Json = dict[str, Any]


def error(translation: Translator, status: int, body: object) -> tuple[int, Json]:
    answer = translation.answer(status, "application/json", RequestState("m"), id="x", now_s=0)
    assert answer.content_type == "application/json"
    given = body if isinstance(body, bytes) else json.dumps(body).encode()
    out = answer.transform.feed(given) + answer.transform.end()
    return answer.status, json.loads(out)


@pytest.mark.parametrize(
    ("status", "shown", "kind"),
    [
        (400, 400, "invalid_request_error"),
        (401, 401, "authentication_error"),
        (402, 402, "billing_error"),
        (403, 403, "permission_error"),
        (404, 404, "not_found_error"),
        (408, 504, "timeout_error"),
        (409, 409, "invalid_request_error"),
        (413, 413, "request_too_large"),
        (422, 400, "invalid_request_error"),
        (424, 500, "api_error"),
        (429, 429, "rate_limit_error"),
        (498, 529, "overloaded_error"),
        (500, 500, "api_error"),
        (502, 502, "api_error"),
        (503, 529, "overloaded_error"),
        (504, 504, "timeout_error"),
    ],
)
def test_a_chat_completions_error_for_a_messages_client(status: int, shown: int, kind: str) -> None:
    """The type follows the status, and the provider's words stay as they are; anthropic-py raises its own exception."""
    got, body = error(MessagesToChat(), status, {"error": {"message": "Bad luck", "type": "t", "param": None, "code": "c"}})
    assert (got, body) == (shown, {"type": "error", "error": {"type": kind, "message": "Bad luck"}})
    with pytest.raises(anthropic.APIStatusError, match="Bad luck"):
        sdks.read_message(json.dumps(body).encode(), got)


def test_a_prompt_that_is_too_long_is_said_in_the_words_that_clients_know() -> None:
    """Claude Code compacts a conversation when it reads Anthropic's wording, openai clients when they read the code."""
    given = {"error": {"message": "maximum context length is 8192 tokens", "code": "context_length_exceeded"}}
    _, body = error(MessagesToChat(), 400, given)
    assert body["error"]["message"] == "prompt is too long: maximum context length is 8192 tokens"
    given = {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "prompt is too long: 2 tokens > 1 maximum"},
    }
    _, body = error(ChatToMessages(), 400, given)
    assert body["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("status", "shown", "kind", "there", "code"),
    [
        (400, 400, "invalid_request_error", "invalid_request_error", None),
        (401, 401, "authentication_error", "invalid_request_error", "invalid_api_key"),
        (402, 402, "billing_error", "insufficient_quota", "insufficient_quota"),
        (403, 403, "permission_error", "permission_error", None),
        (404, 404, "not_found_error", "invalid_request_error", "model_not_found"),
        (413, 413, "request_too_large", "invalid_request_error", "request_too_large"),
        (429, 429, "rate_limit_error", "rate_limit_error", "rate_limit_exceeded"),
        (500, 500, "api_error", "server_error", None),
        (504, 504, "timeout_error", "server_error", "timeout"),
        (529, 503, "overloaded_error", "server_error", "overloaded"),
        (500, 500, "brand_new_error", "server_error", None),
    ],
)
def test_a_messages_error_for_a_chat_completions_client(
    status: int, shown: int, kind: str, there: str, code: object
) -> None:
    """OpenAI's types and codes, Anthropic's words; openai-py raises its own exception."""
    got, body = error(ChatToMessages(), status, {"type": "error", "error": {"type": kind, "message": "Bad luck"}})
    assert (got, body) == (shown, {"error": {"message": "Bad luck", "type": there, "param": None, "code": code}})
    with pytest.raises(openai.APIStatusError, match="Bad luck"):
        sdks.read_completion(json.dumps(body).encode(), got)


@pytest.mark.parametrize(
    "body",
    [
        {"error": "Bad luck"},
        {"message": "Bad luck", "type": "t", "code": "c"},
        {"object": "error", "message": "Bad luck", "code": 400},
        {"detail": "Bad luck"},
        {"error": {"message": "Bad luck", "code": 400}},
    ],
)
def test_an_error_in_any_servers_form(body: Json) -> None:
    """OpenAI's form, and those of Cerebras, Mistral, vLLM and OpenRouter."""
    assert error(MessagesToChat(), 400, body)[1]["error"]["message"] == "Bad luck"


@pytest.mark.parametrize("translation", [MessagesToChat(), ChatToMessages()])
def test_an_error_without_words(translation: Translator) -> None:
    """A page of HTML or nothing at all is no answer to a client: the status is what is known. Nothing of it is repeated."""
    for body in (b"", b"<html>secret</html>", b"[]", b'{"detail": 1}'):
        _, made = error(translation, 502, body)
        assert made["error"]["message"] == "the provider answered 502 without an error message"


@given(st.sampled_from([MessagesToChat(), ChatToMessages()]), st.integers(400, 599), st.binary(max_size=40))
def test_whatever_an_error_is(translation: Translator, status: int, body: bytes) -> None:
    """An error's body never raises."""
    _, made = error(translation, status, body)
    assert made["error"]["message"]
