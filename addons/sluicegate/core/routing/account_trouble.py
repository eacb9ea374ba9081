"""Trouble with an account that comes as 400 or 403: which errors concern our key and not the request. Pure.

Only the beginning of a message counts: what a client wrote may be quoted behind it. The texts are those of the vendors'
error pages, and of reports of their users, as of 2026-11.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sluicegate.core.routing.quota import SPENT_S

__all__ = ["STATUSES", "Trouble", "account_trouble"]

STATUSES: Final = frozenset({400, 403})
"""In terms of the Messages API. 401, 402 and 429 concern the key by themselves."""


@dataclass(frozen=True, slots=True)
class Trouble:
    alarm: str
    why: str
    """In the alarm; never the provider's own words."""
    of_model: bool = False
    """Only this model is not available to the key: it is benched for a target that names the model."""
    for_s: float = SPENT_S


_CREDIT: Final = Trouble("key.spent", "credit or spending limit used up")
_DISABLED: Final = Trouble("key.refused", "account or organization disabled")
_MODEL: Final = Trouble("key.model_denied", "model not available to this key", of_model=True)

_BY_TYPE: Final = {"billing_error": _CREDIT, "authentication_error": _DISABLED}
"""Error types that never concern the request, whatever their text."""

_BY_TEXT: Final[tuple[tuple[re.Pattern[str], Trouble], ...]] = tuple(
    (re.compile(text, re.IGNORECASE), trouble)
    for text, trouble in (
        # Anthropic
        (r"your credit balance is too low", _CREDIT),
        (r"you have reached your specified (?:api|workspace) usage limits", _CREDIT),
        (r"(?:this|your) organization has been disabled", _DISABLED),
        (r"oauth (?:token has been revoked|authentication is currently not (?:allowed|supported) for this org)", _DISABLED),
        (r"your (?:api key|account|organization) does not have (?:access|permission)", _MODEL),
        # Groq, xAI, OpenRouter, OpenAI
        (r"organization has been restricted", _DISABLED),
        (
            r"your (?:newly created )?team.{0,80} (?:has either used all|doesn't have any|has no) (?:available )?credits",
            _CREDIT,
        ),
        (r"key limit exceeded", _CREDIT),
        (r"your account (?:is not active|has been (?:deactivated|suspended|disabled))", _DISABLED),
        (r"project .{1,100} does not have access to model", _MODEL),
        (r"you are not allowed to sample from this model", _MODEL),
        # Bedrock
        (r"you don't have access to the model", _MODEL),
        (r"model access is denied", _MODEL),
        (r"user: arn:\S{1,300} is not authorized to perform: bedrock:", _MODEL),
        # Vertex AI
        (r"this api method requires billing", _CREDIT),
        (r"permission '?aiplatform\.endpoints\.predict'? denied", _MODEL),
        (r"vertex ai api has not been used in project", _DISABLED),
    )
)
"""The beginning of a message → what it says."""


def account_trouble(status: int, error_type: str, message: str) -> Trouble | None:
    """What an error says of the account behind the key; None if it concerns the request."""
    if status not in STATUSES:
        return None
    if found := _BY_TYPE.get(error_type):
        return found
    words = message[:1000].lstrip()
    return next((trouble for text, trouble in _BY_TEXT if text.match(words)), None)
