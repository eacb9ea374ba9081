"""The log of calls: a bounded ring, with bodies up to a total size."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from sluicegate.simulator.prompt_cache import InputTokens
from sluicegate.simulator.wire import Request

MAX_CALLS = 10_000
MAX_BODY_BYTES = 256 * 1024  # stored of one body
MAX_TOTAL_BYTES = 64 * 1024 * 1024  # stored of all bodies


@dataclass(slots=True, eq=False)
class Call:
    """One call. `outcome`: None while it runs, then complete | client_gone | fault:… | bug."""

    number: int
    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes
    body_bytes: int
    body_sha256: str
    credential: str
    started: float
    ended: float | None = None
    outcome: str | None = None
    model: str = ""
    status: int | None = None
    events: int = 0  # server-sent events written
    input_tokens: int = 0  # all kinds
    output_tokens: int = 0
    cost_usd: float = 0.0
    tokens: InputTokens | None = None  # charged for a 200
    answered: bool = False  # the answer's head was sent
    fault: str | None = None  # fault:…, if the script or a knob makes the call fail

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def dump(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "body": self.body.decode("utf-8", "replace"),
            "body_bytes": self.body_bytes,
            "body_sha256": self.body_sha256,
            "credential": self.credential,
            "started": self.started,
            "ended": self.ended,
            "outcome": self.outcome,
            "model": self.model,
            "status": self.status,
            "events": self.events,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": self.cost_usd,
        }


class CallLog:
    """The newest calls; above a total size the oldest bodies are dropped."""

    def __init__(self, max_calls: int = MAX_CALLS) -> None:
        self._calls: deque[Call] = deque()
        self._with_body: deque[Call] = deque()
        self._kept_bytes = 0
        self._max_calls = max_calls
        self.total = 0
        self.outcomes: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()

    def open(self, request: Request, credential: str, now: float) -> Call:
        self.total += 1
        kept = request.body[:MAX_BODY_BYTES]
        call = Call(
            number=self.total,
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            body=kept,
            body_bytes=len(request.body),
            body_sha256=hashlib.sha256(request.body).hexdigest(),
            credential=credential,
            started=now,
        )
        self._calls.append(call)
        self._keep(call)
        if len(self._calls) > self._max_calls:
            self._drop_body(self._calls.popleft())
        return call

    def close(self, call: Call, outcome: str, now: float) -> None:
        """Record the outcome of a call; later ones are ignored."""
        if call.outcome is not None:
            return
        call.ended = now
        call.outcome = outcome
        self.outcomes[outcome] += 1
        self.statuses[call.status or 0] += 1

    def clear(self) -> None:
        """Drop the calls; the totals stay."""
        self._calls.clear()
        self._with_body.clear()
        self._kept_bytes = 0

    def snapshot(self) -> list[Call]:
        return list(self._calls)

    def _keep(self, call: Call) -> None:
        if not call.body:
            return
        self._kept_bytes += len(call.body)
        self._with_body.append(call)
        while self._kept_bytes > MAX_TOTAL_BYTES:
            self._drop_body(self._with_body[0])

    def _drop_body(self, call: Call) -> None:
        if call.body and self._with_body and self._with_body[0] is call:
            self._with_body.popleft()
            self._kept_bytes -= len(call.body)
            call.body = b""
