"""Paths of APIs that the gate serves in part: OpenAI's, Bedrock's, Google's. What it does not serve of them is OTHER for
every rule, but its clients read errors in the words of their own API alone.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import msgspec

from sluicegate.core.formats.bedrock import errors as aws
from sluicegate.core.formats.chat import errors as openai
from sluicegate.core.formats.client_format import ClientFormat, ErrorAnswer
from sluicegate.core.formats.no_conversation import OTHER
from sluicegate.core.formats.vertex import errors as google
from sluicegate.core.wire.eventstream import CONTENT_TYPE

__all__ = ["AWS", "GOOGLE", "OPENAI", "other_at"]


def _openai_error(status: int, kind: str, message: str, request_id: str | None = None) -> ErrorAnswer:
    """Without a code: a path that is not served is no `model_not_found`."""
    answer = openai.error_answer(status, kind, message, request_id)
    document = msgspec.json.decode(answer.body)
    document["error"]["code"] = None
    return answer._replace(body=msgspec.json.encode(document))


OPENAI: Final = replace(OTHER, error_answer=_openai_error, error_in_stream=openai.error_in_stream)
AWS: Final = replace(
    OTHER,
    error_answer=aws.error_answer,
    error_in_stream=aws.error_in_stream,
    stream_type=CONTENT_TYPE,
    stream_break=b"",
)
GOOGLE: Final = replace(OTHER, error_answer=google.error_answer, error_in_stream=google.error_in_stream)

_OPENAI: Final = (
    r"(?:/openai)?/(?:v1/)?(?:responses|embeddings|completions|chat/completions|moderations|images|audio|realtime|assistants"
    r"|threads|conversations|vector_stores|fine_tuning|uploads|batches|evals|containers|videos|engines|deployments)"
)
_AWS: Final = r"/(?:model|async-invoke|guardrails?|foundation-models|inference-profiles|prompts|prompt-routers)"
_GOOGLE: Final = r"/(?:upload/)?v1(?:alpha|beta)\d*|/v1/(?:projects|publishers)|/(?:v1/)?models/[^/:]+:[a-zA-Z]+"
_PATH: Final = re.compile(rf"(?:({_OPENAI})|({_AWS})|({_GOOGLE}))(?:/|$)")
_BY_GROUP: Final = (OTHER, OPENAI, AWS, GOOGLE)


def other_at(path: str) -> ClientFormat:
    """What a path outside all formats (without its query) is of: one of the above, else OTHER itself."""
    found = _PATH.match(path)
    return _BY_GROUP[found.lastindex or 0] if found else OTHER
