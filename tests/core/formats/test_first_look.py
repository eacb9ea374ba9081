"""core/formats/first_look.py: whether an answer begins as one, however its bytes are cut."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.errors import ERROR_STATUS
from sluicegate.core.formats import first_look
from sluicegate.core.formats.chat.format import CHAT
from sluicegate.core.formats.client_format import ClientFormat
from sluicegate.core.formats.first_look import MAX_HELD, Begins, Fails, FirstLook, fault_of_document, fault_of_status
from sluicegate.core.formats.messages.format import MESSAGES

PING = b"event: ping\ndata: {}\n\n"
START = b'event: message_start\ndata: {"type":"message_start"}\n\n'
BLOCK = b'event: content_block_start\ndata: {"type":"content_block_start"}\n\n'
ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
WORD = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n'
MESSAGE = b'{"type":"message","content":[{"type":"text","text":"x"}]}'
CUTS = st.lists(st.integers(0, 500), max_size=8)


def error(kind: str) -> bytes:
    return b"event: error\ndata: " + json.dumps({"type": "error", "error": {"type": kind}}).encode() + b"\n\n"


def verdict(
    data: bytes,
    cuts: list[int],
    *,
    format: ClientFormat = MESSAGES,
    ended: bool = True,
    stream: bool = True,
    asked: bool | None = None,
    patient: bool = True,
    encoding: str = "",
) -> Any:
    """What is said first, when the bytes come in these pieces. `stream`: as the head calls the answer."""
    asked = stream if asked is None else asked
    look = FirstLook(format.event_says, asked_stream=asked, is_stream=stream, patient=patient, encoding=encoding)
    at = 0
    for cut in sorted({c % (len(data) + 1) for c in cuts} | {len(data)}):
        said = look.feed(data[at:cut], ended=ended and cut == len(data))
        if said is not None:
            return said
        at = cut
    return None


# -- streams
@given(CUTS, st.sampled_from(sorted(ERROR_STATUS)), st.sampled_from([b"", PING, PING + START, START + PING]))
def test_an_error_before_any_content(cuts: list[int], kind: str, before: bytes) -> None:
    """Errors of the moment are failures, with the status that says the same; others are answers."""
    said = verdict(before + error(kind) + BLOCK, cuts)
    if kind in ("overloaded_error", "rate_limit_error", "api_error", "timeout_error"):
        assert isinstance(said, Fails)
        assert (said.status, said.is_answer, said.error_type) == (ERROR_STATUS[kind], True, kind)
        assert kind in said.message
    else:
        assert said == Begins()


@given(CUTS)
def test_a_good_beginning(cuts: list[int]) -> None:
    """Content; an error after it is not looked at."""
    assert verdict(PING + START + BLOCK + error("overloaded_error"), cuts) == Begins()


def test_an_opening_is_enough_where_no_other_attempt_may_follow() -> None:
    """The client need not wait for the content then."""
    assert verdict(PING + START, [], ended=False, patient=False) == Begins()
    assert verdict(PING + START, [], ended=False) is None
    assert verdict(PING, [], ended=False, patient=False) is None


@pytest.mark.parametrize("data", [b"", PING, START, PING + START, ROLE])
@pytest.mark.parametrize("format", [MESSAGES, CHAT])
def test_a_stream_that_ends_before_any_content_has_failed(data: bytes, format: ClientFormat) -> None:
    """And nothing of it is an answer for the client."""
    if (data is ROLE) != (format is CHAT) and data not in (b"", PING):
        return
    said = verdict(data, [], format=format)
    assert isinstance(said, Fails)
    assert (said.status, said.is_answer) == (502, False)


def test_bytes_without_an_event_are_not_judged_unless_a_stream_was_asked_for() -> None:
    """A server that calls its answer a stream, though nobody asked for one, may mean anything by it."""
    assert verdict(b"\x1f\x8b\x08", [], asked=False) == Begins()
    assert isinstance(verdict(b"\x1f\x8b\x08", []), Fails)


def test_content_encodings() -> None:
    """One that can be undone is; what cannot be read is passed on."""
    assert isinstance(verdict(gzip.compress(error("overloaded_error")), [10], encoding="gzip"), Fails)
    assert verdict(error("overloaded_error"), [], encoding="gzip") == Begins()
    assert verdict(error("overloaded_error"), [], encoding="unknown") == Begins()
    assert isinstance(verdict(gzip.compress(b"null"), [7], encoding="gzip", stream=False), Fails)


@pytest.mark.parametrize(
    "data", [b"not json", b"[]", b'{"error":3}', b"{}", b'{"error":{"type":"nothing we know"}}', b"[" * 100_000]
)
def test_an_error_of_another_form(data: bytes) -> None:
    """Without a type it is taken for a failure of the provider's; one of an unknown type is passed on."""
    said = verdict(b"event: error\ndata: " + data + b"\n\n", [])
    assert (said == Begins()) is (b"nothing we know" in data)


def test_events_without_names() -> None:
    """Some servers leave the type to the data."""
    said = verdict(b'data: {"type":"message_start"}\n\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n', [])
    assert isinstance(said, Fails)
    assert said.status == 529
    assert verdict(b'data: {"type":"content_block_start"}\n\n', []) == Begins()


@given(CUTS, st.sampled_from([b"", ROLE, b": ping\n\n"]))
def test_a_stream_of_chat_completions_that_begins_with_an_error(cuts: list[int], before: bytes) -> None:
    """A chunk with an error is a failure like an error event."""
    said = verdict(before + b'data: {"error":{"message":"m","type":"server_error"}}\n\n', cuts, format=CHAT)
    assert isinstance(said, Fails)
    assert (said.status, said.is_answer) == (500, True)
    limited = verdict(before + b'data: {"error":{"message":"m","code":"rate_limit_exceeded"}}\n\n', cuts, format=CHAT)
    assert isinstance(limited, Fails)
    assert limited.status == 429


@given(CUTS)
def test_a_good_stream_of_chat_completions(cuts: list[int]) -> None:
    """Its content begins it, not the chunk with the role; so does its end."""
    assert verdict(ROLE + WORD, cuts, format=CHAT) == Begins()
    assert verdict(ROLE, cuts, format=CHAT, ended=False) is None
    assert verdict(b"data: [DONE]\n\n", cuts, format=CHAT) == Begins()
    assert verdict(b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n', cuts, format=CHAT) == Begins()


# -- documents
ERRORS: dict[str, tuple[bytes, int, str]] = {
    "messages": (b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}', 529, "overloaded_error: busy"),
    "bad request": (b'{"type":"error","error":{"type":"invalid_request_error","message":"no"}}', 400, "no"),
    "billing": (b'{"type":"error","error":{"type":"billing_error","message":"no"}}', 402, "no"),
    "chat": (b'{"error":{"message":"boom","type":"server_error"}}', 502, "boom"),
    "words": (b'{"error":"boom"}', 502, "boom"),
    "choices": (b'{"choices":[],"error":{"message":"boom","code":429}}', 429, "boom"),
    "object": (b'{"object":"error","message":"boom"}', 502, "boom"),
    "detail": (b'{"detail":"Not Found"}', 502, "Not Found"),
    "bare": (b'{"type":"error"}', 502, ""),
}


@pytest.mark.parametrize("name", ERRORS)
@given(cuts=CUTS)
def test_an_error_document(name: str, cuts: list[int]) -> None:
    """In every format that is met: a failure with the status that says the same, and the provider's words."""
    body, status, words = ERRORS[name]
    said = verdict(body, cuts, stream=False)
    assert isinstance(said, Fails)
    assert (said.status, said.is_answer) == (status, False)
    assert words in said.message


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"null", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b'"x"', "not a JSON object"),
        (b"Bad Gateway", "not a JSON object"),
        (b'{"content":[', "not a JSON object"),
        (b"\xef\xbb\xbf\n<!doctype html><title>secret words</title>", "a page"),
    ],
)
@given(cuts=CUTS)
def test_no_document(body: bytes, why: str, cuts: list[int]) -> None:
    """It is said what came, and none of it is quoted."""
    said = verdict(body, cuts, stream=False)
    assert isinstance(said, Fails)
    assert (said.status, said.is_answer) == (502, False)
    assert why in said.message
    assert "secret" not in said.message


@pytest.mark.parametrize(
    "body",
    [
        MESSAGE,
        b"{}",
        b'{"input_tokens":3}',
        b'{"inputTokens":3}',
        b'{"choices":[{}],"error":{"message":"of a tool"}}',
        b'{"type":"message","content":[{}],"error":null}',
        b'{"content":[{"text":"\\ud800"}]}',
        json.dumps({"content": ["x"]}).encode("utf-16"),
        b"\xef\xbb\xbf" + MESSAGE,
    ],
)
@given(cuts=CUTS)
def test_documents(body: bytes, cuts: list[int]) -> None:
    """Answers and counts, with an error field of their own, too; what has none of our fields is not ours to judge."""
    assert verdict(body, cuts, stream=False) == Begins()


def test_a_long_document_is_not_held_to_its_end() -> None:
    """Beyond 64 KiB an object is an answer."""
    assert verdict(b'{"content":"' + b"x" * MAX_HELD, [], stream=False, ended=False) == Begins()
    assert verdict(b'{"content":"x', [], stream=False, ended=False) is None


# -- a stream was asked for
@given(CUTS)
def test_what_is_no_stream_is_no_answer_to_a_request_for_one(cuts: list[int]) -> None:
    """A whole message, a long one, a page; an error keeps its words."""
    for body in (MESSAGE, b'{"content":"' + b"x" * MAX_HELD, b"<html>", b"null", b""):
        said = verdict(body, cuts, stream=False, asked=True)
        assert isinstance(said, Fails)
        assert said.status == 502
    assert "not a stream" in verdict(MESSAGE, cuts, stream=False, asked=True).message
    assert "busy" in verdict(ERRORS["messages"][0], cuts, stream=False, asked=True).message


@given(CUTS)
def test_a_stream_under_another_content_type(cuts: list[int]) -> None:
    """What looks like one is one, and is looked at like one."""
    assert verdict(b"\n" + START + BLOCK, cuts, stream=False, asked=True) == Begins()
    assert verdict(b": hello\n\n" + BLOCK, cuts, stream=False, asked=True) == Begins()
    said = verdict(error("overloaded_error"), cuts, stream=False, asked=True)
    assert isinstance(said, Fails)
    assert said.status == 529


# -- the status
@pytest.mark.parametrize("status", [204, 205, 301, 302, 307, 308])
def test_statuses_without_an_answer(status: int) -> None:
    """No body, or a redirect, which is not followed."""
    fault = fault_of_status(status)
    assert fault
    assert str(status) in fault.message
    assert fault.status == 502


@pytest.mark.parametrize("status", [200, 201, 202])
def test_other_statuses_are_judged_by_their_body(status: int) -> None:
    """Some servers answer 201."""
    assert fault_of_status(status) is None


@given(st.binary(max_size=300))
def test_any_bytes_can_be_judged(data: bytes) -> None:
    """Without an exception."""
    fault_of_document(data)
    fault_of_document(b"{" + data + b"}")
    verdict(data, [1, 7], stream=False)
    verdict(data, [1, 7], stream=False, asked=True)
    verdict(data, [1, 7], format=CHAT)


def test_a_document_that_comes_byte_by_byte_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However finely an upstream cuts it, with blank lines before it: the work does not grow with the number of pieces."""
    read: list[int] = []

    def counted(data: bytes) -> bytes:
        read.append(len(data))
        return data

    monkeypatch.setattr(first_look, "utf8", counted)
    look = FirstLook(MESSAGES.event_says, asked_stream=False, is_stream=False, patient=True)
    body = b'{"type":"message","content":[{"type":"text","text":"' + b"x" * 9000 + b'"}]}'
    for byte in b"\n" * 5000 + body:
        assert look.feed(bytes([byte]), ended=False) is None
    assert isinstance(look.feed(b"", ended=True), Begins)
    assert sum(read) < 3 * len(body)
