"""One request's attempts: which target comes next, and the request as that target gets it.

Decides with core/routing/attempts.py and does what is decided: waits (watching for the client), and points the request at
the next target.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from mitmproxy import http

from sluicegate.core.errors import Refused
from sluicegate.core.formats.cloud_errors import Verdict
from sluicegate.core.messages.thinking import is_refusal_of_thinking
from sluicegate.core.routing.account_trouble import STATUSES as ACCOUNT_STATUSES
from sluicegate.core.routing.account_trouble import Trouble, account_trouble
from sluicegate.core.routing.answers import (
    BENCHED_S,
    KEY_FAULTS,
    AnswerVerdict,
    Situation,
    classify,
    may_be_about_thinking,
    read_failure,
    refused_betas,
    without_thinking_if_refused,
)
from sluicegate.core.routing.attempts import (
    FREE,
    Failed,
    GiveUp,
    Plan,
    Send,
    final_retry_after_s,
    retry_after_s,
)
from sluicegate.core.routing.pinning import names_one_place
from sluicegate.core.wire.json_object import loads
from sluicegate.exchange.call import Failure
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.release import Snapshot, Target, restore, snapshot
from sluicegate.providers.base import CredentialSource
from sluicegate.providers.betas import flags_of, without_flags
from sluicegate.services.services import Services
from sluicegate.stages.router.targets import Unsupported, point_at
from sluicegate.stages.router.upstreams import Candidate

__all__ = ["Attempts", "is_repeatable"]

_SPENT: Final = Trouble("key.spent", "quota or balance used up")
_MOST_FLAGS: Final = 100
"""Beta flags that are remembered as refused, by target."""
_OF_THE_MOMENT: Final = frozenset({408, 429})


class Attempts:
    """The attempts of one request."""

    def __init__(
        self,
        x: Exchange,
        plan: Plan,
        candidates: Sequence[Candidate],
        services: Services,
        unsupported: Unsupported = "refuse",
    ) -> None:
        self.plan = plan
        self.candidates = candidates
        self.health = services.health
        self.history: list[Failed] = []
        self.failed_attempts: list[dict[str, Any]] = []
        """The failed attempts, for the audit record."""
        self._services = services
        self._unsupported: Unsupported = unsupported
        self._base: Snapshot = snapshot(x.request)
        self._began = self._first = time.monotonic()
        self._unflagged = False
        """The request was sent without a beta flag that was refused."""
        self._stripped = False
        """The request was sent without its thinking, or cannot be."""
        if self.health.is_resting(candidates[0].name, self._began):
            self._look_whether_pinned(x)
        begin = plan.first(self.health, self._began) if not self.health.resting else self._turn()
        self.current = begin.target
        self.delay_s = begin.after_s
        """How long to wait before the first attempt."""

    def _turn(self) -> Send:
        return self.plan.first(self.health, self._began, random.random())  # noqa: S311 - jitter

    def _look_whether_pinned(self, x: Exchange) -> None:
        """Called only when it matters, because it searches the whole body."""
        if len(self.candidates) > 1 and not self.plan.pinned:
            self.plan = replace(self.plan, pinned=is_pinned(x))

    @property
    def left(self) -> bool:
        """Whether another attempt may follow this one."""
        return bool(self.plan.queue) or sum(1 for f in self.history if f.cause not in FREE) + 1 < self.plan.attempts

    @property
    def candidate(self) -> Candidate:
        return self.candidates[self.current]

    def start(self, x: Exchange) -> Target:
        """Point the request at the current candidate."""
        restore(x.request, self._base)
        self._began = time.monotonic()
        self.health.probe(self.candidate.name, self._began)
        refused = self._services.refused_betas.get(self.candidate.name, ())
        d = x.request.data
        d.headers.fields, lost = without_flags(d.headers.fields, refused)
        target = point_at(x, self.candidate, self._unsupported)
        if lost and x.routing.translation:
            x.routing.translation = replace(x.routing.translation, refused_betas=lost)
        return target

    async def begin(self, x: Exchange) -> Target:
        """Start the first attempt, once its candidate has its credential; if it gets none, start the next one.

        Refused if no candidate has one.
        """
        try:
            return await self._start_ready(x)
        except Refused as e:
            if (
                len(self.candidates) == 1
                or not await self.again(x, Failure("refused", e.message))
                or x.routing.target is None
            ):
                raise
            x.routing.failed_attempts = self.failed_attempts
            return x.routing.target

    async def _start_ready(self, x: Exchange) -> Target:
        if self.candidate.key is not None:
            await self.candidate.key.ready()
        return self.start(x)

    # -- what an answer says
    def classify(self, x: Exchange, response: http.Response) -> AnswerVerdict:
        """What the head of an answer means. Changes nothing: `record` does."""
        return classify(native_status(x, response), response.headers.get("x-should-retry"), self._situation(x))

    def _situation(self, x: Exchange) -> Situation:
        may_strip = x.format.keeps_thinking and not self._stripped and may_be_about_thinking(self._base[-1] or b"")
        may_drop = not self._unflagged and bool(flags_of(self._base[5]))
        return Situation(self.plan, self.left, self.candidate.key is not None, may_strip, may_drop)

    def _refused_betas(self, x: Exchange, body: bytes) -> tuple[str, ...]:
        """The flags that a 400 names, if the request has not gone without any yet."""
        if self._unflagged or not self.left or x.flow.response is None or not (flags := flags_of(self._base[5])):
            return ()
        error = error_of(x, x.flow.response, body)
        return refused_betas(flags, error.message) if error else ()

    def record(self, x: Exchange, response: http.Response, verdict: AnswerVerdict) -> None:
        """Act on a verdict under which the client gets the answer: bench the key, or let the target rest.

        A failure that another attempt follows is recorded by `again`, an answer that is passed on by `answered`.
        """
        if verdict == "key_fault" and self.candidate.key is not None:
            self._bench(self.candidate.key, native_status(x, response))
        elif verdict == "final_failure":
            self.passes_on(response, native_status(x, response))

    def passes_on(self, response: http.Response, status: int) -> None:
        """A failure goes to the client unchanged; what it says of the target is recorded."""
        failed = self._failed(Failure("status", "", status, response.headers))
        self.plan.note(failed, self.health, time.monotonic())
        self.history.append(failed)
        self._cap_retry_after(response.headers)

    def elsewhere(self, x: Exchange, status: int) -> bool:
        """Whether another target may serve in place of this failure, whose body need not be read any further."""
        self._look_whether_pinned(x)
        return status != 400 and self.left and self._situation(x).others

    def fails(self, x: Exchange, response: http.Response, body: bytes) -> bool:
        """Whether an answer is a failed attempt, by its body. `body`: without its content encoding."""
        status = native_status(x, response)
        if self._trouble(x, response, body) is not None or self.plan.retryable(status, None):
            return True
        if status != 400 or not self.left:
            return False
        may_strip = self._situation(x).may_strip_thinking and is_refusal_of_thinking(body)
        return may_strip or bool(self._refused_betas(x, body))

    def _trouble(self, x: Exchange, response: http.Response | None, body: bytes) -> Trouble | None:
        """What an error says of the account behind our key."""
        if self.candidate.key is None or response is None:
            return None
        error = error_of(x, response, body)
        return error and (account_trouble(error.status, error.kind, error.message) or (_SPENT if error.spent else None))

    def may_fail(self, status: int) -> bool:
        """Whether an error under a status of success is a failed attempt; else it is about the request itself."""
        return status >= 500 or status in KEY_FAULTS or status in _OF_THE_MOMENT or self.plan.retryable(status, None)

    def answered(self, response: http.Response) -> None:
        """The current target gave an answer that goes to the client."""
        candidate = self.candidate
        if not self.plan.retryable(response.status_code, None):
            self.health.mark_healthy(candidate.name)
        if candidate.key is not None and len(self.candidates) > 1:
            self._services.quotas.observe(candidate.name, response.headers)

    def _bench(self, key: CredentialSource, status: int) -> None:
        if not key.refused():
            self.health.cool_down(self.candidate.name, time.monotonic() + BENCHED_S)
        self._services.alarm(KEY_FAULTS[status], key=key.name, status=status)

    def _failed(self, failure: Failure, says_spent: bool = False) -> Failed:
        """A failure as the plan judges it; what it says of the key's limits is remembered."""
        own_key, headers = self.candidate.key is not None, failure.headers
        if own_key and headers is not None and failure.status in (402, 429):
            self._services.quotas.observe(self.candidate.name, headers)
        return read_failure(
            self.current,
            failure.cause,
            failure.status,
            headers,
            failure.body,
            time.time(),
            own_key=own_key,
            says_spent=says_spent,
        )

    # -- after a failure
    async def again(self, x: Exchange, failure: Failure) -> bool:
        """Wait if necessary, and point the request at the next target. False: give up; the client gets the last answer."""
        of_failed = x.routing.translation
        while await self._turned(x, failure):
            try:
                x.routing.target = await self._start_ready(x)
                return True
            except Refused as e:
                failure = Failure("refused", e.message)
                x.routing.translation = of_failed  # it reads the answer that is there
        return False

    async def _turned(self, x: Exchange, failure: Failure) -> bool:
        """Decide, and wait: `current` is the next candidate then. False: give up."""
        now = time.monotonic()
        trouble = self._trouble(x, x.flow.response, failure.body) if failure.status in ACCOUNT_STATUSES else None
        if failure.status == 400 and trouble is None:
            if self._drop_betas(x, failure, now) or self._strip_thinking(failure, now):
                return True
            if not self.plan.retryable(400, None):
                return False
        failed = self._failed(failure, _says_spent(x, failure))
        if trouble is not None:
            failed = self._in_trouble(failed, trouble, now)
        key = self.candidate.key
        if key is not None and failed.status in KEY_FAULTS:
            self._bench(key, failed.status)
        elif key is not None and failed.spent and trouble is None:
            self._services.alarm("key.spent", key=key.name, for_s=round(failed.retry_after_s or 0))
        self._look_whether_pinned(x)
        self.history.append(failed)
        self._tell(failure, now)
        decision = self.plan.after(
            self.history,
            self.health,
            now,
            random.random(),  # noqa: S311 - jitter
            began=self._first,
            room=self._has_room(),
        )
        match decision:
            case GiveUp():
                if failure.headers is not None:
                    self._cap_retry_after(failure.headers)
                return False
            case Send(target, after_s, queued):
                if after_s and not await self._waited(x, after_s, queued):
                    return False
                self.current = target
                return True

    def _in_trouble(self, failed: Failed, trouble: Trouble, now: float) -> Failed:
        """The key is benched, for the model alone if the trouble is about that; an operator is told."""
        if not trouble.of_model or self.candidate.route_target.model:
            self.health.cool_down(self.candidate.name, now + trouble.for_s)
        name = self.candidate.key.name if self.candidate.key else self.candidate.name
        self._services.alarm(trouble.alarm, key=name, status=failed.status, why=trouble.why)
        return replace(failed, spent=True)

    def _tell(self, failure: Failure, now: float) -> None:
        self.failed_attempts.append(
            {
                "target": self.candidate.name,
                "cause": failure.cause,
                "status": failure.status,
                "error": failure.message[:200],
                "ms": round((now - self._began) * 1000, 1),
            }
        )

    def _drop_betas(self, x: Exchange, failure: Failure, now: float) -> bool:
        """A 400 that names beta flags: the same target again without them, once, and from now on. False: another 400."""
        named = self._refused_betas(x, failure.body)
        if not named:
            return False
        self._unflagged = True
        known, name = self._services.refused_betas, self.candidate.name
        known[name] = tuple(dict.fromkeys((*known.get(name, ()), *named)))[:_MOST_FLAGS]
        self._services.alarm("beta.refused", target=name, flags=list(named))
        self._same_target_again(failure, now)
        return True

    def _same_target_again(self, failure: Failure, now: float) -> None:
        self.history.append(Failed(self.current, failure.cause, 400))
        self._tell(failure, now)
        self.health.probe_failed(self.candidate.name)

    def _strip_thinking(self, failure: Failure, now: float) -> bool:
        """A 400 about the history's thinking: the same target again without it, once. False: it is another 400."""
        self._stripped = True
        stripped = without_thinking_if_refused(self._base[-1] or b"", failure.body)
        if stripped is None:
            return False
        self._base = (*self._base[:-1], stripped)
        self._same_target_again(failure, now)
        return True

    def _has_room(self) -> bool:
        return self.plan.queue is not None and self._services.queued < self.plan.queue.size

    async def _waited(self, x: Exchange, seconds: float, queued: bool) -> bool:
        self._services.queued += queued
        try:
            return await x.life.sleep(seconds)
        finally:
            self._services.queued -= queued

    def _cap_retry_after(self, headers: http.Headers) -> None:
        """Never pass on a retry-after that makes the client give up early."""
        now = time.monotonic()
        told = _retry_after(headers)
        instead = final_retry_after_s(told, self.plan.soonest_s(self.health, now))
        if instead is not None:
            headers.pop("retry-after-ms", None)
            headers["retry-after"] = str(instead)
        if headers.get("x-should-retry") == "false" and any(f.should_retry is not False for f in self.history):
            headers.pop("x-should-retry")  # another target said otherwise


def is_repeatable(x: Exchange) -> bool:
    """Whether a request may be sent again though the provider may have acted on it: an upload or a new batch may not."""
    return x.inference or x.request.method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")


def is_pinned(x: Exchange) -> bool:
    """Whether a request names things that exist in one place only: another target, or key, would not know them."""
    return not x.inference or names_one_place(x.request.data.content or b"")


def _says_spent(x: Exchange, failure: Failure) -> bool:
    """Whether the provider's own error says that a quota or a balance is used up."""
    if failure.headers is None or x.flow.response is None:
        return False
    error = error_of(x, x.flow.response, failure.body)
    return error is not None and error.spent


def error_of(x: Exchange, response: http.Response, body: bytes) -> Verdict | None:
    """A provider's error as one of the Messages API; None if it is in no known form."""
    if x.routing.translation and (verdict := x.routing.translation.verdict(response, body)):
        return verdict
    fault = loads(body)
    error = fault.get("error") if isinstance(fault, dict) else None
    if not isinstance(error, dict):
        return None
    kind, message = error.get("type"), error.get("message")
    return Verdict(response.status_code, kind if isinstance(kind, str) else "", message if isinstance(message, str) else "")


def native_status(x: Exchange, response: http.Response) -> int:
    return x.routing.translation.native_status(response) if x.routing.translation else response.status_code


def _retry_after(headers: http.Headers) -> float | None:
    return retry_after_s(headers, time.time())
