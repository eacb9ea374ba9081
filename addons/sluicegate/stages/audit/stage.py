"""Audit: one record per exchange, refusals included. Never a body, never a credential.

A record that can not be written raises an alarm and is lost; with `audit.strict` no request is served while records can
not be written.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from sluicegate.core.errors import Refused, StoreError
from sluicegate.core.formats.surfaces import ANSWERS
from sluicegate.core.identity.caller import Caller
from sluicegate.core.messages.usage import ResponseFacts, Usage
from sluicegate.exchange.cost import call_cost_usd
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.taps import Fate
from sluicegate.services.services import Services
from sluicegate.services.telemetry.line import line_of
from sluicegate.services.telemetry.sinks import Sink
from sluicegate.settings import Settings
from sluicegate.stages.base import Stage
from sluicegate.stages.cache.plan import CacheFields
from sluicegate.stages.scrubber.stage import Scrubber, ScrubFields
from sluicegate.stores.cache.base import Head

__all__ = ["Audit", "AuditFields"]

_ENCODER = msgspec.json.Encoder()


@dataclass(slots=True)
class AuditFields:
    """What Audit keeps of one exchange."""

    bytes_out: int = 0

    def count(self, data: bytes) -> None:
        self.bytes_out += len(data)


class Audit(Stage):
    name: ClassVar[str] = "audit"
    sees_last: ClassVar[bool] = True
    fate: ClassVar[Fate] = "aside"

    def __init__(self, settings: Settings, services: Services) -> None:
        super().__init__(settings, services)
        self.prices = services.prices_for(settings)
        self.sink: Sink | None = services.sinks.get(settings.audit.log)
        self.line = line_of if settings.audit.format == "line" else _json
        self.failing = False

    def head(self, x: Exchange) -> None:
        if self.failing and self.settings.audit.strict:
            self._probe()
        x.fields[self.name] = AuditFields()

    def _probe(self) -> None:
        try:
            self.sink = self.services.sinks.reopen(self.settings.audit.log)
            self.failing = False
        except StoreError as e:
            raise Refused(503, "the audit log can not be written, and audit.strict is on", kind="api_error") from e

    def answer(self, x: Exchange) -> None:
        fields: AuditFields = x.fields[self.name]
        x.taps.observe(fields.count, name=self.name, fate="aside")
        response = x.flow.response
        if x.answer is not None and x.source is None and response is not None:
            fields.bytes_out = len(response.data.content or b"")

    def settle(self, x: Exchange) -> None:
        record = self._record(x, x.fields[self.name])
        x.flow.metadata["sluicegate"] = record
        cached: CacheFields | None = x.fields.get("cache")
        facts = x.call.facts if x.call else None
        self.services.stats.add(
            outcome=record["outcome"],
            status=record["status"],
            model=record["model_served"] or record["model"],
            usage=facts.usage if facts else None,
            cost_usd=record["cost_usd"],
            bytes_in=record["bytes_in"],
            bytes_out=record["bytes_out"],
        )
        if record["scrub"]:
            self.services.stats.add_scrub(record["scrub"])
        self.services.stats.add_cached(record["cache"], record["saved_tokens"], record["saved_usd"])
        served = _served(record)
        if cached and cached.snippet:
            served["snippet"] = cached.snippet
        self.services.monitor.publish(served)
        if self.sink:
            try:
                self.sink.write(self.line(record))
            except StoreError as e:
                self.failing = True
                self.services.alarm("audit.lost", exchange=x.id, error=str(e))

    def _record(self, x: Exchange, fields: AuditFields) -> dict[str, Any]:
        now = time.monotonic()
        request, call, d = x.facts, x.call, x.request.data
        cached: CacheFields | None = x.fields.get("cache")
        hit = cached.hit if cached else None
        free = cached is not None and (hit is not None or cached.following is not None)
        facts = _replayed(hit.head) if hit else (call.facts if call else None) or _NONE
        usage = facts.usage
        served = facts.model
        cost = call_cost_usd(x, self.settings, self.prices)
        provider = x.target.provider if x.target else ""
        limiter = x.fields.get("limiter")
        scrub: ScrubFields | None = x.fields.get(Scrubber.name)
        if free:
            cost = 0.0
        peer = x.flow.client_conn.peername
        known = usage.known
        return {
            "time": _iso(x.started_at),
            "exchange": x.id,
            "client": f"{peer[0]}:{peer[1]}" if peer else None,
            "door": x.door,
            "method": d.method.decode("ascii", "replace"),
            "path": d.path.partition(b"?")[0].decode("ascii", "replace")[:500],
            "surface": x.surface,
            "provider": provider or None,
            "target": str(x.target) if x.target else None,
            "model": x.model or (request.model if request else None),
            "model_served": served,
            "model_rule": limiter.model_rule if limiter else None,
            "stream": facts.stream if hit or (call and call.reader) else bool(request and request.stream),
            "status": x.status,
            "outcome": x.outcome,
            "cache": x.label,
            "input_tokens": usage.input_tokens if known else None,
            "output_tokens": usage.output_tokens if known else None,
            "cache_read_tokens": usage.cache_read_tokens if known else None,
            "cache_write_5m_tokens": usage.cache_write_5m_tokens if known else None,
            "cache_write_1h_tokens": usage.cache_write_1h_tokens if known else None,
            "cost_usd": None if cost is None else round(cost, 8),
            "saved_tokens": cached.saved_tokens if cached and free else None,
            "saved_usd": None if cached is None or not free or cached.saved_usd is None else round(cached.saved_usd, 8),
            "prompt_cache_fall": cached.fall if cached else None,
            "ttfb_ms": _ms(x.started, x.first_byte),
            "duration_ms": _ms(x.started, now),
            "bytes_in": len(d.content or b""),
            "bytes_out": fields.bytes_out,
            **_who(x.caller),
            "session": x.session_id,
            "agent": x.agent_id,
            "stop_reason": facts.stop_reason,
            "tools": facts.tools,
            "scrub": scrub.record() if scrub else None,
            "attempts": x.tries,
            "dropped": list(x.bridge.dropped) if x.bridge else [],
            "limit": limiter.limit if limiter else None,
            "error": x.error or facts.error_type,
        }


def _json(record: dict[str, Any]) -> bytes:
    return _ENCODER.encode({**record, "event": "exchange"}) + b"\n"


def _who(caller: Caller | None) -> dict[str, Any]:
    if caller is None:
        return _NOBODY
    return {
        "key_id": caller.key_id,
        "key_name": caller.name,
        "team": caller.team,
        "user": caller.user,
        "project": caller.project,
        "tags": dict(caller.tags),
    }


_NOBODY: dict[str, Any] = {"key_id": None, "key_name": None, "team": None, "user": None, "project": None, "tags": {}}
_NONE = ResponseFacts()
_TOKENS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "saved_tokens",
)
_SERVED = ("exchange", "outcome", "status", "provider", "cache", "cost_usd", "saved_usd", "duration_ms", "session")


def _replayed(head: Head) -> ResponseFacts:
    """What a kept answer says of itself; it used nothing this time."""
    return ResponseFacts(
        model=head.model,
        stop_reason=head.stop_reason,
        tools=list(head.tools),
        usage=Usage(known=head.surface in ANSWERS),
        stream=head.stream,
    )


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
