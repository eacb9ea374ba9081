"""The onion: requests descend through the stages, answers and ends unwind those that completed, in reverse.

`on_error` of a stage decides what follows an exception in it: `fail_closed` ends the exchange with a 500 and sends nothing,
`skip` continues with the request as the previous stage left it. Refused is not an error but a response. No exception of a
stage leaves this module: in a hook of mitmproxy it would let the request pass, or hang the client.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from sluicegate.core.errors import Refused, describe
from sluicegate.exchange.answering import encode_for_client
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.native_errors import native_response
from sluicegate.exchange.release import Release, Snapshot, restore, snapshot
from sluicegate.exchange.slots import Slot
from sluicegate.gate.policy import Policy
from sluicegate.services.services import Services
from sluicegate.stages.base import REPORTS, Stage

__all__ = ["Onion", "Progress", "progress_of"]


@dataclass(slots=True)
class Progress:
    """How far an exchange has come through its policy's stages."""

    stages: tuple[Stage, ...]
    """The stages that the request passes, in order."""
    heads: tuple[Stage, ...]
    """Those that read its headers before its body has arrived."""
    policy: Policy
    entered: list[Stage] = field(default_factory=list)
    """Stages whose work on the request is complete and has not been unwound."""
    passed: list[Stage] = field(default_factory=list)
    """Stages whose work on the whole request is complete, in order."""
    skipped: list[Stage] = field(default_factory=list)
    """Stages that failed and were skipped: they are not called again."""

    def complete(self, stage: Stage) -> None:
        """The stage's work on the whole request is complete."""
        self.passed.append(stage)
        if stage not in self.entered:
            self.entered.append(stage)


_PROGRESS: Final = Slot[Progress]("onion")


progress_of = _PROGRESS.__getitem__
"""The progress of an exchange. Raises KeyError if it did not enter the onion."""


class Onion:
    """Runs the stages of an exchange's policy."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def enter(self, x: Exchange, policy: Policy, instead: Stage | None = None) -> None:
        """Before all else. `instead`: the one stage that the request passes, in place of the policy's."""
        _PROGRESS.set(x, Progress((instead,), (), policy) if instead else Progress(policy.path, policy.heads, policy))

    # -- down
    def heads(self, x: Exchange) -> None:
        """Run the stages that read a request's headers before its body has arrived."""
        progress = progress_of(x)
        for stage in progress.heads:
            if x.answer is not None:
                return
            before = snapshot(x.request) if stage.on_error == "skip" else None
            try:
                stage.head(x)
            except BaseException as e:  # noqa: BLE001
                self._stage_raised(x, stage, e, before)
            else:
                progress.entered.append(stage)

    def descend(self, x: Exchange, start: int = 0) -> Coroutine[Any, Any, None] | None:
        """Run the stages from `start` on, up to an answer or a release; a coroutine for the rest if a stage waits."""
        progress = progress_of(x)
        stages = progress.stages
        for i in range(start, len(stages)):
            if x.answer is not None:
                break
            if stages[i] in progress.skipped:
                continue
            before = snapshot(x.request) if stages[i].on_error == "skip" else None
            try:
                waiting = stages[i].request(x)
            except BaseException as e:  # noqa: BLE001
                self._stage_raised(x, stages[i], e, before)
                continue
            if waiting is not None and inspect.isawaitable(waiting):
                return self._descend_later(x, progress, i, waiting, before)
            progress.complete(stages[i])
        self.land(x)
        return None

    async def _descend_later(
        self, x: Exchange, progress: Progress, i: int, waiting: Awaitable[None], before: Snapshot | None
    ) -> None:
        stage = progress.stages[i]
        try:
            await waiting
        except BaseException as e:  # noqa: BLE001 - a CancelledError that escapes here would hang the client
            self._stage_raised(x, stage, e, before)
        else:
            progress.complete(stage)
        if x.life.gone:
            return  # the proxy core ends the exchange through the error hook
        if rest := self.descend(x, i + 1):
            await rest

    def land(self, x: Exchange) -> None:
        """End the descent: with the gate's own answer, or with the release."""
        if x.answer is not None:
            x.flow.response = x.answer
        elif x.routing.target is None:
            self.bug(x, "chain", LookupError("no stage chose a target"))
        else:
            x.routing.release = Release(x.routing.target, snapshot(x.request), upgrade=x.websocket)

    def _stage_raised(self, x: Exchange, stage: Stage, e: BaseException, before: Snapshot | None) -> None:
        if stage.on_error == "fail_closed" or isinstance(e, Refused):
            self.fail(x, stage.name, e)
            return
        self.services.alarm("stage.aside", stage=stage.name, exchange=x.id, error=describe(e))
        x.answer = x.source = None
        if before is not None:
            restore(x.request, before)
        progress_of(x).skipped.append(stage)

    def fail(self, x: Exchange, where: str, e: BaseException) -> None:
        """An error on the way down becomes the answer: a refusal, or a 500."""
        if isinstance(e, Refused):
            self.refuse(x, e)
        else:
            self.bug(x, where, e)

    def bug(self, x: Exchange, where: str, e: BaseException) -> None:
        """Fail closed: send nothing upstream, give the client a native 500."""
        self.services.alarm("stage.bug", stage=where, exchange=x.id, error=describe(e))
        x.routing.release = None
        self.refuse(x, Refused(500, f"internal error in the gate ({where}); the request was not sent"))
        x.ending.internal(f"a bug in {where}: {type(e).__name__}")
        x.flow.response = x.answer

    def refuse(self, x: Exchange, refused: Refused) -> None:
        """The gate answers in the provider's place."""
        x.answer = native_response(
            refused.status,
            refused.message,
            format=x.format,
            kind=refused.kind,
            exchange_id=x.id,
            fields=refused.headers(),
        )
        x.ending.refused(refused.message)

    # -- up
    def answer(self, x: Exchange) -> bool:
        """The answer's headers have arrived: stages add their taps, innermost first. False: it must not be passed on.

        The taps read Messages events. The encoder to the client's format stands outside them, and the taps that count the
        client's bytes outside the encoder.
        """
        entered = progress_of(x).entered
        last = [stage for stage in entered if stage.sees_last]
        if not self._answers(x, [stage for stage in reversed(entered) if not stage.sees_last]):
            return False
        try:
            encode_for_client(x)
        except BaseException as e:  # noqa: BLE001
            self.services.alarm("stage.bug", stage="leave", exchange=x.id, error=describe(e))
            x.ending.withhold("internal", "internal error in the gate (encoding for the client)")
            return False
        return self._answers(x, reversed(last))

    def _answers(self, x: Exchange, stages: Iterable[Stage]) -> bool:
        for stage in stages:
            taps = len(x.taps)
            try:
                stage.answer(x)
            except BaseException as e:  # noqa: BLE001
                if stage.on_error != "skip":
                    self.services.alarm("stage.bug", stage=stage.name, exchange=x.id, error=describe(e))
                    x.ending.withhold("internal", f"internal error in the gate ({stage.name})")
                    return False
                self.services.alarm("stage.aside", stage=stage.name, exchange=x.id, error=describe(e))
                x.taps.truncate(taps)
        return True

    def settle(self, x: Exchange) -> None:
        """The end: call `skipped` of the stages that never ran, then `settle` of those that completed, in reverse, once.

        In that order, because the Audit, which is among the latter, records the results of the others.
        """
        progress = progress_of(x)
        self._skip(x, progress)
        while progress.entered:
            stage = progress.entered.pop()
            if stage.reads_reports:
                REPORTS.set(x, self._reports(x, progress.policy))
            try:
                stage.settle(x)
            except BaseException as e:  # noqa: BLE001 - the others still settle
                self.services.alarm("stage.settle", stage=stage.name, exchange=x.id, error=describe(e))

    def _reports(self, x: Exchange, policy: Policy) -> dict[str, object]:
        merged: dict[str, object] = {}
        for stage in policy.stages:
            try:
                merged.update(stage.report(x))
            except BaseException as e:  # noqa: BLE001 - the others are still read
                self.services.alarm("stage.report", stage=stage.name, exchange=x.id, error=describe(e))
        return merged

    def _skip(self, x: Exchange, progress: Progress) -> None:
        for stage in progress.policy.stages:
            if stage in progress.passed or stage in progress.skipped:
                continue
            try:
                stage.skipped(x)
            except BaseException as e:  # noqa: BLE001
                self.services.alarm("stage.skipped", stage=stage.name, exchange=x.id, error=describe(e))
