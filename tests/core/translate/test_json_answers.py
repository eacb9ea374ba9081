"""core/translate/messages_chat/response.py and message_to_completion.py: answers in one piece, both ways."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kits.sdks as sdks
from kits.recorded import Recording, recordings
from sluicegate.core.translate import collect
from sluicegate.core.translate.pairs import (
    ChatToMessages,
    Malformed,
    MessagesToChat,
    RequestState,
    Translator,
)

Json = dict[str, Any]
RECORDED = [r for r in recordings("anthropic-json") if r.status == 200 and "content-encoding" not in r.headers]
THINKS = RequestState("m", thinking=True)


def answered(translation: Translator, body: object, state: RequestState = THINKS) -> bytes:
    given = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = translation.answer(200, "application/json; charset=utf-8", state, id="x1", now_s=1700)
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert answer.transform.feed(given[:9]) + answer.transform.feed(given[9:]) == b""
    return answer.transform.end()


def message(body: object, state: RequestState = THINKS) -> Json:
    made: Json = json.loads(answered(MessagesToChat(), body, state))
    return made


def completion(body: object, state: RequestState = THINKS) -> Json:
    made: Json = json.loads(answered(ChatToMessages(), body, state))
    return made


def said(finish: str = "stop", **turn: Any) -> Json:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt",
        "choices": [{"index": 0, "message": {"role": "assistant", **turn}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}},
    }


def call(arguments: str, name: str = "f", id: str = "c0") -> Json:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_completion_is_a_message() -> None:
    """Thinking, text and calls in their order, under the client's names, with disjoint usage."""
    given = said("tool_calls", content="a", reasoning="hmm", tool_calls=[call('{"a": 1}', "short")])
    made = message(given, RequestState("m", thinking=True, tool_names={"short": "long"}))
    assert made == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "gpt",
        "content": [
            {"type": "thinking", "thinking": "hmm", "signature": ""},
            {"type": "text", "text": "a"},
            {"type": "tool_use", "id": "c0", "name": "long", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 6,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 4,
            "output_tokens": 2,
        },
    }
    assert sdks.read_message(json.dumps(made).encode()).content[2].type == "tool_use"


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ("", {}),
        (" ", {}),
        ("null", {}),
        ("{}", {}),
        ('{"a":', {"arguments": '{"a":'}),
        ("[1]", {"arguments": "[1]"}),
        ('"x"', {"arguments": '"x"'}),
    ],
)
def test_arguments_of_any_kind_are_an_object(arguments: str, given: Json) -> None:
    """Empty arguments are an empty object; invalid ones do not crash and are not lost."""
    assert message(said("tool_calls", content=None, tool_calls=[call(arguments)]))["content"][0]["input"] == given


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (said("stop", content="a"), "end_turn"),
        (said("length", content="a"), "max_tokens"),
        (said("content_filter", content="a"), "refusal"),
        (said("stop", content=None, refusal="No."), "refusal"),
        (said("stop", content="a", tool_calls=[call("{}")]), "tool_use"),
        (said("length", content="a", tool_calls=[call('{"a')]), "max_tokens"),
        (said("tool_calls", content="a"), "end_turn"),
    ],
)
def test_stop_reasons(given: Json, reason: str) -> None:
    """Any call makes it tool_use; a refusal is never the end of a turn."""
    assert message(given)["stop_reason"] == reason


def test_thinking_is_left_out_where_it_was_not_asked_for() -> None:
    """And never becomes text."""
    made = message(said(content="a", reasoning_content="hmm"), RequestState("m"))
    assert [b["type"] for b in made["content"]] == ["text"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        {},
        [],
        {"choices": []},
        {"choices": [{"index": 0}]},
        {"choices": [{"index": 1, "message": {"content": "a"}}]},
        {"error": {"message": "no"}},
        said("error", content="a"),
        said(content=None, tool_calls=[{"id": "c0"}]),
    ],
)
def test_what_is_no_completion_is_no_answer(body: object) -> None:
    """Malformed, so that the caller can break off: there is nothing to give to the client in its place."""
    with pytest.raises(Malformed):
        message(body)


def reply(*content: Json, stop: str = "end_turn", **more: Any) -> Json:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 5, "output_tokens": 2}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": list(content),
        "stop_reason": stop,
        "usage": usage,
        **more,
    }


def test_a_message_is_a_completion() -> None:
    """Text, reasoning and calls, with the sum of the prompt; signatures and server tools stay behind."""
    made = completion(
        reply(
            {"type": "thinking", "thinking": "hmm", "signature": "SIGNATURE"},
            {"type": "redacted_thinking", "data": "SIGNATURE"},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "text", "text": "a", "citations": []},
            {"type": "text", "text": "b"},
            {"type": "tool_use", "id": "t1", "name": "short", "input": {"a": 1}},
            stop="tool_use",
        ),
        RequestState("m", tool_names={"short": "long"}),
    )
    assert made["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "ab",
                "refusal": None,
                "reasoning_content": "hmm",
                "tool_calls": [call('{"a":1}', "long", "t1")],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ]
    assert (made["id"], made["object"], made["created"], made["model"]) == ("chatcmpl-1", "chat.completion", 1700, "claude")
    assert made["usage"]["prompt_tokens"] == 12
    assert made["usage"]["prompt_tokens_details"] == {"cached_tokens": 4, "cache_write_tokens": 5}
    assert sdks.read_completion(json.dumps(made).encode()).choices[0].message.content == "ab"


def test_content_is_null_where_a_message_only_calls() -> None:
    """And an empty string where it says nothing at all."""
    called = completion(reply({"type": "tool_use", "id": "t1", "name": "f", "input": {}}, stop="tool_use"))
    assert called["choices"][0]["message"]["content"] is None
    assert completion(reply())["choices"][0]["message"]["content"] == ""


def test_a_refusal_says_why() -> None:
    """content_filter, with the explanation where there is one."""
    made = completion(reply(stop="refusal", stop_details={"type": "refusal", "explanation": "No."}))["choices"][0]
    assert (made["finish_reason"], made["message"]["refusal"]) == ("content_filter", "No.")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", {}, {"type": "message"}, {"type": "error", "error": {"type": "api_error", "message": "no"}}],
)
def test_what_is_no_message_is_no_answer(body: object) -> None:
    """Malformed, so that the caller can break off."""
    with pytest.raises(Malformed):
        completion(body)


def test_an_answer_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not more than a bound is held in memory; what is larger is no answer."""
    monkeypatch.setattr(collect, "MAX_ANSWER", 1000)
    with pytest.raises(Malformed):
        message(said(content="a" * 2000))


@pytest.mark.skipif(not RECORDED, reason="the recorded exchanges are not part of this checkout")
@pytest.mark.parametrize("recording", RECORDED, ids=lambda r: r.id)
def test_recorded_messages(recording: Recording) -> None:
    """What Anthropic really answered is read by openai-py."""
    made = sdks.read_completion(answered(ChatToMessages(), recording.body, RequestState("m")))
    assert made.usage.total_tokens > 0
    assert made.choices[0].message.content or made.choices[0].message.tool_calls


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "content",
                    "tool_calls",
                    "function",
                    "name",
                    "type",
                    "usage",
                    "error",
                    "text",
                    "input",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_JSON | st.binary(max_size=50), st.booleans())
def test_whatever_a_provider_answers(body: object, to_chat: bool) -> None:
    """An answer or Malformed, never another exception."""
    if isinstance(body, dict) and to_chat:
        body = {"type": "message", "content": [body], **body}
    translation: Translator = ChatToMessages() if to_chat else MessagesToChat()
    with suppress(Malformed):
        json.loads(answered(translation, body))
