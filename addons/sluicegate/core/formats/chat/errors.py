"""The gate's own errors as Chat Completions states them."""

from __future__ import annotations

import msgspec

from sluicegate.core.formats.client_format import ErrorAnswer, plain

__all__ = ["error_answer", "error_in_stream"]


def error_answer(status: int, kind: str, message: str, request_id: str | None = None) -> ErrorAnswer:
    from sluicegate.core.translate.errors import chat_status

    return ErrorAnswer(chat_status(status), {"content-type": "application/json"}, _document(kind, message))


def error_in_stream(kind: str, message: str) -> bytes:
    return b"data: %b\n\n" % _document(kind, message)


def _document(kind: str, message: str) -> bytes:
    from sluicegate.core.translate.errors import Fault, fault_to_chat

    return msgspec.json.encode(fault_to_chat(Fault(plain(message), kind)))
