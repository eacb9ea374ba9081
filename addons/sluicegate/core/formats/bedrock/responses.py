"""Answers of the Messages API for a client of Bedrock."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import msgspec

from sluicegate.core.errors import error_type
from sluicegate.core.formats.bedrock import codec
from sluicegate.core.formats.bedrock.errors import aws_exception_for, error_in_stream
from sluicegate.core.formats.buffered import BufferedTransform
from sluicegate.core.formats.client_format import EncodedResponse
from sluicegate.core.wire.eventstream import CONTENT_TYPE
from sluicegate.core.wire.json_object import loads

__all__ = ["encode_answer", "encode_count"]

_EVENT_STREAM: Final = "text/event-stream"


def _encode(status: int, content_type: str, *, id: str, now_s: int, counts: bool) -> EncodedResponse:
    fields = {"x-amzn-requestid": id}
    if status >= 400:
        shown, exception = aws_exception_for(error_type(status))
        fields["x-amzn-errortype"] = exception
        return EncodedResponse(shown, "application/json", BufferedTransform(_error, lenient=True), fields)
    if counts:
        return EncodedResponse(
            status, "application/json", BufferedTransform(codec.count_answer_to_bedrock), fields, whole=True
        )
    if content_type.startswith(_EVENT_STREAM):
        fields["x-amzn-bedrock-content-type"] = "application/json"
        return EncodedResponse(status, CONTENT_TYPE, codec.FramesFromMessages(_exception), fields)
    return EncodedResponse(status, fields=fields)


encode_answer: Final = partial(_encode, counts=False)
encode_count: Final = partial(_encode, counts=True)


def _error(body: bytes) -> bytes:
    value: Any = loads(body)
    error = value.get("error") if isinstance(value, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    words = (
        message.encode("utf-8", "replace").decode() if isinstance(message, str) else "the provider gave no error message"
    )
    return msgspec.json.encode({"message": words})


def _exception(event: bytes) -> bytes:
    from sluicegate.core.translate.errors import Fault, messages_fault

    fault = messages_fault(loads(event)) or Fault("the provider reported an error")
    return error_in_stream(fault.code, fault.message)
