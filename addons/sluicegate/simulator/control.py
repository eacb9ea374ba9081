"""The control endpoints under /_sim/: log, bill, script, counters, release of pauses. They log no calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from sluicegate.simulator import wire
from sluicegate.simulator.behaviour import BehaviourError
from sluicegate.simulator.bill import Bill
from sluicegate.simulator.calls import CallLog
from sluicegate.simulator.connection import Plan
from sluicegate.simulator.errors import NativeError, invalid
from sluicegate.simulator.script import Script
from sluicegate.simulator.steps import Steps

_REQUEST_ID = "req_simcontrol"


class Control:
    """Answers `…/_sim/{calls,bill,script,stats,release}`. `release` ends the pauses of all answers and counts them."""

    def __init__(self, log: CallLog, bill: Bill, script: Script, release: Callable[[], int]) -> None:
        self._log = log
        self._bill = bill
        self._script = script
        self._routes: dict[tuple[str, str], Callable[[wire.Request], Any]] = {
            ("GET", "calls"): lambda _: [call.dump() for call in log.snapshot()],
            ("DELETE", "calls"): self._clear_calls,
            ("GET", "bill"): lambda _: bill.dump(),
            ("DELETE", "bill"): self._clear_bill,
            ("GET", "stats"): lambda _: self.stats(),
            ("GET", "script"): lambda _: script.dump(),
            ("POST", "script"): self._set_script,
            ("DELETE", "script"): self._clear_script,
            ("POST", "release"): lambda _: {"released": release()},
        }

    def plan(self, request: wire.Request) -> Plan | None:
        """The answer to a control request; None for any other."""
        _, marker, name = request.path.rpartition("/_sim/")
        if not marker or name in ("echo", "ws"):
            return None
        status = 200
        try:
            route = self._routes.get((request.method, name))
            if route is None:
                raise NativeError(404, f"no control endpoint {request.method} /_sim/{name}")
            body = msgspec.json.encode(route(request))
        except NativeError as error:
            status, body = error.status, error.body(_REQUEST_ID)
        headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
        if not request.keep_alive:
            headers.append(("connection", "close"))
        return Plan(_once(wire.head(status, headers) + body), request.keep_alive)

    def stats(self) -> dict[str, Any]:
        return {
            "calls": self._log.total,
            "running": self._log.total - sum(self._log.outcomes.values()),
            "outcomes": dict(self._log.outcomes),
            "statuses": {str(status): count for status, count in self._log.statuses.items()},
            "scripted": len(self._script.dump()),
        }

    def _clear_calls(self, _: wire.Request) -> dict[str, bool]:
        self._log.clear()
        return {"cleared": True}

    def _clear_bill(self, _: wire.Request) -> dict[str, bool]:
        self._bill.models.clear()
        self._bill.credentials.clear()
        return {"cleared": True}

    def _clear_script(self, _: wire.Request) -> list[Any]:
        self._script.set([])
        return []

    def _set_script(self, request: wire.Request) -> list[dict[str, Any]]:
        try:
            given = msgspec.json.decode(request.body, type=list[dict[str, Any]] | dict[str, Any])
            self._script.set([given] if isinstance(given, dict) else given, append="append=1" in request.query)
        except (msgspec.DecodeError, BehaviourError) as error:
            raise invalid(f"script: {error}") from None
        return self._script.dump()


def _once(data: bytes) -> Steps:
    yield data
