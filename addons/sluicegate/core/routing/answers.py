"""What the answer to an attempt says: whether it is the client's, and what it tells of the target and its key. Pure.

401, 402 with a key of ours    the key is at fault, not the request: another key serves, or the key is benched
400, 403 with a key of ours    its body is read: account trouble (account_trouble.py) is the key's fault, too
400 that names a beta flag     the same target once more without it; the flag is remembered for that target
400 that may be about thinking the same target once more without the history's thinking, if its body says so
a retryable status             another attempt, if one is left; else the client gets it, and the target rests
anything else                  the client's answer
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from sluicegate.core.messages.thinking import is_refusal_of_thinking, without_refused_thinking
from sluicegate.core.routing.account_trouble import STATUSES as ACCOUNT_STATUSES
from sluicegate.core.routing.attempts import Cause, Failed, Headers, Plan, retry_after_s
from sluicegate.core.routing.quota import SPENT_S, refusal

__all__ = [
    "BENCHED_S",
    "KEY_FAULTS",
    "AnswerVerdict",
    "Situation",
    "asks_too_long",
    "classify",
    "may_be_about_thinking",
    "read_failure",
    "refused_betas",
    "without_thinking_if_refused",
]

BENCHED_S: Final = 3600.0
"""How long a key that the provider does not accept is not used, unless it changes before that."""
KEY_FAULTS: Final[dict[int, str]] = {401: "key.refused", 402: "key.spent"}
"""Statuses that concern our key and not the request, each with the alarm that it raises."""

AnswerVerdict = Literal["answer", "look", "retry", "key_fault", "final_failure"]
"""answer: the client's. look: its body decides. retry: a failed attempt that another may follow. key_fault: the client gets
it, and our key is benched. final_failure: the client gets it, as no other attempt makes sense, and the target rests."""


@dataclass(frozen=True, slots=True)
class Situation:
    """The facts besides its answer that decide about an attempt."""

    plan: Plan
    left: bool
    """Another attempt may follow this one."""
    own_key: bool
    """A key of ours went with the request."""
    may_strip_thinking: bool
    """The request has thinking that it could go without, and has not gone without it yet."""

    may_drop_betas: bool = False
    """The request has beta flags that it could go without, and has not gone without any yet."""

    @property
    def others(self) -> bool:
        """Whether another target may serve."""
        return len(self.plan.targets) > 1 and not self.plan.pinned


def classify(status: int, should_retry: str | None, now: Situation) -> AnswerVerdict:
    """What an answer means. `status`: in terms of the Messages API. `should_retry`: the header of that name."""
    if status < 400:
        return "answer"
    if now.own_key and status in KEY_FAULTS:
        return "retry" if now.left and now.others else "key_fault"
    may_mend = status == 400 and now.left and (now.may_strip_thinking or now.may_drop_betas)
    if status in ACCOUNT_STATUSES and (now.own_key or may_mend):
        return "look"
    if not now.plan.retryable(status, None):
        return "answer"
    return "retry" if now.left and (now.others or now.plan.queue or should_retry != "false") else "final_failure"


def read_failure(
    target: int,
    cause: Cause,
    status: int | None,
    headers: Headers | None,
    body: bytes,
    now_unix: float,
    *,
    own_key: bool,
    says_spent: bool = False,
) -> Failed:
    """A failed attempt as the plan judges it. `headers`: None if no answer came.

    `says_spent`: the provider's format says that a quota or a balance is used up.
    """
    if headers is None:
        return Failed(target, cause, status, None, False if cause == "refused" else None)
    should = headers.get("x-should-retry")
    wait_s, spent = retry_after_s(headers, now_unix), False
    if own_key and status in (402, 429):
        why = refusal(status, headers, body, now_unix)
        wait_s, spent = why.for_s, why.spent
        if says_spent and not spent:
            wait_s, spent = max(wait_s or 0.0, SPENT_S), True
    spent = spent or (own_key and status in KEY_FAULTS)
    return Failed(target, cause, status, wait_s, None if should is None else should == "true", spent)


def asks_too_long(headers: Headers, now_unix: float, longest_s: float) -> bool:
    """Whether an error asks its client for a longer wait than it should sit through, and leaves it to the client.

    Some SDKs sleep for any retry-after; `x-should-retry: false` stops them. A provider's own x-should-retry counts.
    """
    if headers.get("x-should-retry") is not None:
        return False
    told = retry_after_s(headers, now_unix)
    return told is not None and told > longest_s


# -- thinking


def may_be_about_thinking(body: bytes) -> bool:
    """Whether a 400 to this request could be about the thinking in its history."""
    return b'"thinking"' in body


def without_thinking_if_refused(body: bytes, error: bytes) -> bytes | None:
    """The request without its thinking, if the 400 says that this is what is wrong; None if it is another 400."""
    if not is_refusal_of_thinking(error):
        return None
    try:
        stripped = without_refused_thinking(body)
    except ValueError:
        return None
    return None if stripped is body else stripped


# -- beta flags

_ABOUT_BETAS: Final = re.compile(r"anthropic[-_ ]beta|\bbeta (?:flag|header)|\bbetas\b", re.IGNORECASE)
_FLAG: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_MOST_WORDS: Final = 1000


def refused_betas(flags: Iterable[str], message: str) -> tuple[str, ...]:
    """The flags of a request that the message of its 400 names: "Unexpected value(s) `x-2026-01-01` for the
    `anthropic-beta` header". () if it is about something else."""
    words = message[:_MOST_WORDS]
    if not _ABOUT_BETAS.search(words):
        return ()
    named = frozenset(_FLAG.findall(words))
    return tuple(flag for flag in flags if flag in named and _FLAG.fullmatch(flag))
