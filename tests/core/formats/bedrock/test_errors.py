"""core/formats/bedrock/errors.py: the gate's own errors, for clients of Bedrock."""

from __future__ import annotations

from sluicegate.core.formats.bedrock.errors import error_answer, error_in_stream
from sluicegate.core.wire.eventstream import FrameDecoder


def test_bedrock() -> None:
    """An exception by name, as an answer and as a frame."""
    answer = error_answer(429, "rate_limit_error", "slow")
    assert (answer.status, answer.fields["x-amzn-errortype"], answer.body) == (
        429,
        "ThrottlingException",
        b'{"message":"slow"}',
    )
    (frame,) = FrameDecoder().feed(error_in_stream("overloaded_error", "busy"))
    assert frame.text(":exception-type") == "serviceUnavailableException"
    assert frame.payload == b'{"message":"busy"}'
