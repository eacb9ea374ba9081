"""exchange/native_errors.py: our own answers, and the errors that they are made of."""

import msgspec
import pytest

from sluicegate.core.errors import (
    ERROR_STATUS,
    Refused,
    error_body,
    error_type,
    own_error_type,
)
from sluicegate.core.formats.bedrock.format import BEDROCK
from sluicegate.core.formats.chat.format import CHAT
from sluicegate.core.formats.client_format import ClientFormat
from sluicegate.core.formats.messages.format import MESSAGES
from sluicegate.core.formats.no_conversation import OTHER
from sluicegate.exchange.native_errors import native_response


@pytest.mark.parametrize("status", [*ERROR_STATUS.values(), 407, 409, 418, 421, 431, 502, 503, 599])
def test_native_responses(status: int) -> None:
    """A JSON error in the API's shape, with its length, our id, and what else belongs to it."""
    response = native_response(status, 'wörds "quoted"\n', exchange_id="sg_1", fields=[(b"retry-after", b"3")], close=True)
    body = msgspec.json.decode(response.content or b"")
    assert body == {
        "type": "error",
        "error": {"type": own_error_type(status), "message": 'wörds "quoted"\n'},
        "request_id": "sg_1",
    }
    assert response.headers["content-length"] == str(len(response.content or b""))
    assert response.headers["x-sluicegate-id"] == "sg_1"
    assert response.headers["connection"] == "close"
    assert response.headers["retry-after"] == "3"


def test_error_types() -> None:
    """Known statuses have their names; others fall to the client's or the server's side."""
    assert error_type(529) == "overloaded_error"
    assert error_type(451) == "invalid_request_error"
    assert error_type(599) == "api_error"
    assert (own_error_type(407), error_type(407)) == ("authentication_error", "invalid_request_error")
    assert b"request_id" not in error_body(400, "x")


def test_refusals() -> None:
    """Their headers are whole numbers and words."""
    refused = Refused(429, "m", retry_after=1.6, should_retry=False)
    assert refused.headers() == [(b"retry-after", b"2"), (b"x-should-retry", b"false")]
    assert Refused(429, "m", retry_after=-5).headers() == [(b"retry-after", b"0")]
    assert Refused(400, "m").headers() == []


@pytest.mark.parametrize(
    ("format", "status", "field"),
    [(MESSAGES, 529, None), (CHAT, 503, None), (BEDROCK, 503, "ServiceUnavailableException"), (OTHER, 529, None)],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_client_gets_our_errors_in_its_own_format(format: ClientFormat, status: int, field: str | None) -> None:
    """Status, header fields and body; our id in each."""
    response = native_response(
        529, "busy", format=format, kind="overloaded_error", exchange_id="sg_1", fields=[(b"a", b"b")]
    )
    assert (response.status_code, response.headers.get("x-amzn-errortype")) == (status, field)
    assert (response.headers["x-sluicegate-id"], response.headers["a"]) == ("sg_1", "b")
    assert response.headers.get_all("content-type") == ["application/json"]
    assert response.content == format.error_answer(529, "overloaded_error", "busy", "sg_1").body
