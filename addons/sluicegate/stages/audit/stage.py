"""Audit: one record per exchange, refusals included. Never a body, never a credential.

The record has what the Exchange knows, and what the other stages report (Stage.report). If it cannot be written, an alarm
is raised and the record is lost; with `audit.strict` requests are refused until records can be written again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import msgspec

from sluicegate.core.addresses import host_port
from sluicegate.core.errors import Refused, StoreError, describe
from sluicegate.core.limits.repeats import MANY, Repeats
from sluicegate.core.messages.usage import ResponseFacts
from sluicegate.exchange.cost import bill
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.slots import Slot
from sluicegate.exchange.taps import OnError
from sluicegate.services.process_state import StateKey
from sluicegate.services.services import Services
from sluicegate.services.telemetry.line import format_line
from sluicegate.services.telemetry.sinks import Sink
from sluicegate.settings import Settings
from sluicegate.stages.base import REPORTS, Stage

__all__ = ["Audit", "AuditFields"]

_ENCODER = msgspec.json.Encoder()


@dataclass(slots=True)
class _Loops:
    """What the process knows of clients in a loop."""

    repeats: Repeats = field(default_factory=Repeats)
    alarmed_at: float = 0.0


_LOOPS: Final = StateKey[_Loops]("audit.loops")
_ALARM_EVERY_S: Final = 60.0
"""How often a loop that goes on is reported."""
_LOOP: Final = "the same request again and again: the client may be in a loop; limits.runaway.same_request would refuse it"


@dataclass(slots=True)
class AuditFields:
    """What Audit keeps of one exchange."""

    bytes_out: int = 0
    body: int = 0
    """A hash of the client's body; 0 outside inference."""

    def count(self, data: bytes) -> None:
        self.bytes_out += len(data)


_EDGE: Final = 4096
"""Bytes at either end of a body that tell it apart."""
_STATE: Final = Slot[AuditFields]("audit")


class Audit(Stage):
    name: ClassVar[str] = "audit"
    sees_last: ClassVar[bool] = True
    reads_reports: ClassVar[bool] = True
    on_error: ClassVar[OnError] = "skip"

    def __init__(self, settings: Settings, services: Services) -> None:
        super().__init__(settings, services)
        self.prices = services.prices_for(settings)
        self.sink: Sink | None = services.sinks.get(settings.audit.log)
        self.line = format_line if settings.audit.format == "line" else _json
        self.failing = False
        self.loops = services.state.get(_LOOPS, _Loops)

    def head(self, x: Exchange) -> None:
        if self.failing and self.settings.audit.strict:
            self._probe()
        _STATE.set(x, AuditFields())

    def request(self, x: Exchange) -> None:
        if x.inference:
            _STATE[x].body = _fingerprint(x.request.data.content or b"")

    def _probe(self) -> None:
        try:
            self.sink = self.services.sinks.reopen(self.settings.audit.log)
            self.failing = False
        except StoreError as e:
            raise Refused(503, "the audit log cannot be written, and audit.strict is on", kind="api_error") from e

    def answer(self, x: Exchange) -> None:
        fields = _STATE[x]
        x.taps.observe(fields.count, name=self.name, on_error="skip")
        response = x.flow.response
        if x.answer is not None and x.source is None and response is not None:
            fields.bytes_out = len(response.data.content or b"")

    def settle(self, x: Exchange) -> None:
        reports = dict(REPORTS.find(x) or {})
        feed_only = {name: reports.pop(name) for name in _FEED_ONLY if name in reports}
        record = {**self._record(x, _STATE[x]), **reports}
        record["repeated"] = None
        x.flow.metadata["sluicegate"] = record
        try:
            record["repeated"] = self._repeated(x, _STATE[x].body)
            self._count(x, record)
            self.services.monitor.publish({**_served(record), **feed_only})
        except Exception as e:  # noqa: BLE001 - the record is still written
            self.services.alarm("audit.fault", exchange=x.id, error=describe(e))
        if self.sink:
            try:
                self.sink.write(self._written(x, record))
            except StoreError as e:
                self.failing = True
                self.services.alarm("audit.lost", exchange=x.id, error=str(e))

    def _repeated(self, x: Exchange, body: int) -> int | None:
        """How many times in quick succession the caller has sent this request, if that looks like a loop."""
        if not body:
            return None
        now, key_id = time.monotonic(), x.caller.key_id if x.caller else None
        times = self.loops.repeats.add((key_id, x.session_id, body), now)
        if times < MANY:
            return None
        self.services.stats.repeated += 1
        if times == MANY or now - self.loops.alarmed_at >= _ALARM_EVERY_S:
            self.loops.alarmed_at = now
            self.services.alarm("client.loop", exchange=x.id, key=key_id, session=x.session_id, times=times, why=_LOOP)
        return times

    def _written(self, x: Exchange, record: dict[str, Any]) -> bytes:
        """The record's line. A value that cannot be written costs its field, not the record."""
        try:
            return self.line(record)
        except Exception as e:  # noqa: BLE001
            self.services.alarm("audit.fault", exchange=x.id, error=describe(e))
        return _json({name: value if _can_be_written(value) else None for name, value in record.items()})

    def _count(self, x: Exchange, record: dict[str, Any]) -> None:
        stats = self.services.stats
        stats.add(
            outcome=record["outcome"],
            status=record["status"],
            model=record["model_served"] or record["model"],
            usage=bill(x, self.settings, self.prices).usage,
            cost_usd=record["cost_usd"],
            estimated=record["estimated"],
            bytes_in=record["bytes_in"],
            bytes_out=record["bytes_out"],
        )
        if record["scrub"]:
            stats.add_scrub(record["scrub"])
        stats.add_cached(record["cache"], record["saved_tokens"], record["saved_usd"])

    def _record(self, x: Exchange, fields: AuditFields) -> dict[str, Any]:
        """All fields, in order, those that stages report with the values that they have if no stage does."""
        now = time.monotonic()
        request, call, d = x.facts, x.routing.call, x.request.data
        facts = (call.facts if call else None) or _NO_FACTS
        billed = bill(x, self.settings, self.prices)
        usage, cost = billed.usage, billed.cost_usd
        peer = x.flow.client_conn.peername
        return {
            "time": _iso(x.started_at),
            "exchange": x.id,
            "client": host_port(peer[0], peer[1]) if peer else None,
            "door": x.door,
            "method": d.method.decode("ascii", "replace"),
            "path": d.path.partition(b"?")[0].decode("ascii", "replace")[:500],
            "surface": x.surface,
            "provider": (x.routing.target.provider if x.routing.target else "") or None,
            "target": str(x.routing.target) if x.routing.target else None,
            "model": x.model or (request.model if request else None),
            "model_served": facts.model,
            "model_rule": None,
            "stream": facts.stream if call and call.reader else bool(request and request.stream),
            "status": x.status,
            "outcome": x.ending.outcome,
            "cache": None,
            "input_tokens": usage.input_tokens if usage else None,
            "output_tokens": usage.output_tokens if usage else None,
            "cache_read_tokens": usage.cache_read_tokens if usage else None,
            "cache_write_5m_tokens": usage.cache_write_5m_tokens if usage else None,
            "cache_write_1h_tokens": usage.cache_write_1h_tokens if usage else None,
            "cost_usd": None if cost is None else round(cost, 8),
            "estimated": billed.estimated,
            "saved_tokens": None,
            "saved_usd": None,
            "prompt_cache_fall": None,
            "ttfb_ms": _ms(x.started, x.first_byte),
            "duration_ms": _ms(x.started, now),
            "bytes_in": len(d.content or b""),
            "bytes_out": fields.bytes_out,
            "key_id": None,
            "key_name": None,
            "team": None,
            "user": None,
            "project": None,
            "tags": {},
            "session": x.session_id,
            "agent": x.agent_id,
            "stop_reason": facts.stop_reason,
            "tools": facts.tools,
            "scrub": None,
            "attempts": [],
            "dropped": [],
            "limit": None,
            "repeated": None,
            "error": x.ending.error or facts.error_type,
        }


def _json(record: dict[str, Any]) -> bytes:
    return _ENCODER.encode({**record, "event": "exchange"}) + b"\n"


def _fingerprint(body: bytes) -> int:
    """Tells bodies apart without reading a long one whole: the turns of a conversation differ in length and at the end."""
    return hash((len(body), body[:_EDGE], body[-_EDGE:])) if body else 0


def _can_be_written(value: object) -> bool:
    try:
        _ENCODER.encode(value)
    except Exception:  # noqa: BLE001
        return False
    return True


_NO_FACTS = ResponseFacts()
_TOKENS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "saved_tokens",
)
_FEED_ONLY = ("snippet",)
"""Reported fields that are for the live feed and never for the record."""
_SERVED = ("exchange", "outcome", "status", "provider", "cache", "cost_usd", "saved_usd", "duration_ms", "session")


def _served(record: dict[str, Any]) -> dict[str, Any]:
    tokens = sum(record[k] or 0 for k in _TOKENS)
    return {
        "label": record["cache"],
        "model": record["model_served"] or record["model"],
        "tokens": tokens,
        **{k: record[k] for k in _SERVED},
    }


def _ms(start: float, end: float | None) -> float | None:
    return None if end is None else round((end - start) * 1000, 1)


def _iso(t: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(t)) + f".{int(t % 1 * 1000):03d}Z"
