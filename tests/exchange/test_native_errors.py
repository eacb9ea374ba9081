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
