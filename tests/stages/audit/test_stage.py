"""Audit: the content of a record, and what happens to requests if records cannot be written."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sluicegate.core.errors import Refused, StoreError
from sluicegate.core.identity.caller import Caller
from sluicegate.core.pricing import prices
from sluicegate.services.services import Services
from sluicegate.services.telemetry.line import format_line
from sluicegate.settings import Settings
from sluicegate.settings.audit import Audit as AuditSettings
from sluicegate.settings.cache import Cache as CacheSettings
from sluicegate.settings.providers import Provider
from sluicegate.settings.scrub import Scrub
from sluicegate.stages import Audit, Cache, Identity, Limiter, Router, Scrubber
from sluicegate.stages.base import Stage
from sluicegate.testing import (
    MemorySink,
    chain_of,
    descend,
    fail,
    make_flow,
    planted,
    quiet,
    send_answer,
)

ANSWER = msgspec.json.encode(
    {
        "type": "message",
        "model": "claude-haiku-4-5-20251001",
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 20, "output_tokens": 254},
        "content": [{"type": "text", "text": "the body"}],
    }
)
SECRET = b"sk-ant-api03-secret"


class Plain(Services):
    """Services whose stdout is a list."""

    def __init__(self) -> None:
        super().__init__({})
        self.sink = MemorySink()
        self.sinks._sinks["stdout"] = self.sink


def config(**audit: Any) -> Settings:
    return Settings(audit=AuditSettings(log="stdout", **audit))


async def served(services: Plain, settings: Settings | None = None, answer: bytes = ANSWER, **flow: Any) -> dict[str, Any]:
    with chain_of(Audit, Router, settings=settings or config(), services=services) as chain:
        made = make_flow(
            **{"body": {"model": "claude-haiku-4-5", "x": "the prompt"}, "headers": [(b"x-api-key", SECRET)], **flow}
        )
        await descend(chain, made)
        send_answer(chain, made, [answer])
    record: dict[str, Any] = made.metadata["sluicegate"]
    return record


async def test_a_record_says_who() -> None:
    """Key id and name, team, user, project and tags; none of them without a caller."""
    services = Plain()
    caller = Caller("key_1", "laptop", "a", "u", "p", {"cost_center": "4711"}, mode="keys")
    who = planted("who", [], does={"request": lambda x: setattr(x, "caller", caller)})
    with chain_of(Audit, Identity, who, settings=config(), services=services) as chain:
        flow = make_flow()
        await descend(chain, flow)
        send_answer(chain, flow, [ANSWER])
    (record,) = services.sink.records
    assert {k: record[k] for k in ("key_id", "key_name", "team", "user", "project", "tags")} == {
        "key_id": "key_1",
        "key_name": "laptop",
        "team": "a",
        "user": "u",
        "project": "p",
        "tags": {"cost_center": "4711"},
    }
    nobody = await served(Plain())
    assert (nobody["key_id"], nobody["team"], nobody["tags"]) == (None, None, {})


async def test_a_record() -> None:
    """Who, where, what, how much, how long; no body and no credential."""
    services = Plain()
    record = await served(services, path="/v1/messages?beta=true")
    (line,) = services.sink.lines
    assert line.endswith(b"\n")
    written = msgspec.json.decode(line)
    assert {k: v for k, v in written.items() if k != "event"} == {k: v for k, v in record.items() if k != "id"}
    assert written["event"] == "exchange"
    expected = {
        "client": "127.0.0.1:51000",
        "door": "reverse",
        "method": "POST",
        "path": "/v1/messages",
        "surface": "messages",
        "provider": "anthropic",
        "target": "https://api.anthropic.com:443",
        "model": "claude-haiku-4-5",
        "model_served": "claude-haiku-4-5-20251001",
        "stream": False,
        "status": 200,
        "outcome": "ok",
        "cache": None,
        "input_tokens": 20,
        "output_tokens": 254,
        "cost_usd": 0.00129,
        "bytes_out": len(ANSWER),
        "stop_reason": "end_turn",
        "tools": [],
        "error": None,
    }
    assert {k: record[k] for k in expected} == expected
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["time"])
    assert record["duration_ms"] >= record["ttfb_ms"] >= 0
    assert SECRET not in line
    assert b"the prompt" not in line
    assert b"the body" not in line


FIELDS = [
    "time",
    "exchange",
    "client",
    "door",
    "method",
    "path",
    "surface",
    "provider",
    "target",
    "model",
    "model_served",
    "model_rule",
    "stream",
    "status",
    "outcome",
    "cache",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "cost_usd",
    "estimated",
    "saved_tokens",
    "saved_usd",
    "prompt_cache_fall",
    "ttfb_ms",
    "duration_ms",
    "bytes_in",
    "bytes_out",
    "key_id",
    "key_name",
    "team",
    "user",
    "project",
    "tags",
    "session",
    "agent",
    "stop_reason",
    "tools",
    "scrub",
    "attempts",
    "dropped",
    "limit",
    "repeated",
    "error",
    "event",
]


@pytest.mark.parametrize("stages", [(Audit,), (Audit, Identity, Limiter, Scrubber, Cache, Router)])
async def test_the_fields_and_their_order(stages: Any, tmp_path: Path) -> None:
    """The same whichever stages run."""
    services = Plain()
    settings = msgspec.structs.replace(
        config(), state_dir=tmp_path, scrub=Scrub(mode="detect"), cache=CacheSettings(mode="exact", snippet=True)
    )
    with chain_of(*stages, settings=settings, services=services) as chain:
        flow = make_flow(body={"model": "claude-haiku-4-5", "max_tokens": 9, "messages": []})
        await descend(chain, flow)
        send_answer(chain, flow, [ANSWER])
    (line,) = services.sink.lines
    assert list(msgspec.json.decode(line)) == FIELDS


def reporting(name: str, report: Any) -> type[Stage]:
    """A stage that reports; a stage that raises where `report` is an exception."""

    def reports(self: Any, x: Any) -> Any:
        if isinstance(report, Exception):
            raise report
        return report

    return type(name, (Stage,), {"name": name, "report": reports})


async def test_reports_are_merged() -> None:
    """The stage further in wins; a bug in one report costs the others nothing."""
    services = Plain()
    stages = (reporting("a", {"limit": "a", "team": "a"}), reporting("b", KeyError("b")), reporting("c", {"limit": "c"}))
    with chain_of(Audit, *stages, settings=config(), services=services) as chain:
        flow = make_flow()
        await descend(chain, flow)
        send_answer(chain, flow, [ANSWER])
    (record,) = services.sink.records
    assert (record["limit"], record["team"]) == ("c", "a")
    assert services.alarms == {"stage.report": 1}


async def test_a_stage_that_refuses_reports() -> None:
    """Also if its work on the request was not completed."""
    services = Plain()
    refuses = reporting("refuses", {"limit": "rpm"})

    def refuse(self: Any, x: Any) -> None:
        raise Refused(429, "too many")

    refuses.request = refuse  # type: ignore[method-assign]
    with chain_of(Audit, refuses, settings=config(), services=services) as chain:
        flow = make_flow()
        await descend(chain, flow)
        send_answer(chain, flow)
    (record,) = services.sink.records
    assert (record["outcome"], record["limit"]) == ("refused", "rpm")


async def test_the_price_follows_the_kind_of_a_provider() -> None:
    """A provider may have any name."""
    services = Plain()
    settings = msgspec.structs.replace(config(), providers={"work": Provider(kind="anthropic")})
    record = await served(services, settings)
    assert record["provider"] == "work"
    assert record["cost_usd"] == 0.00129


def answer_with(usage: dict[str, Any] | None, *, size: int = 4000) -> bytes:
    message = {"type": "message", "model": "claude-haiku-4-5", "stop_reason": "end_turn", "content": []}
    return msgspec.json.encode({**message, "pad": "x" * size, **({} if usage is None else {"usage": usage})})


_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")


async def test_reported_zeros_stay_zeros() -> None:
    """An answer that reports 0 cost nothing, and nothing of it is estimated."""
    services = Plain()
    zeros = {"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    record = await served(services, answer=answer_with(zeros))
    assert [record[name] for name in (*_TOKENS, "cost_usd", "estimated")] == [0, 0, 0, 0, 0, 0.0, False]
    assert services.stats.snapshot()["estimated_requests"] == 0


@pytest.mark.parametrize("usage", [None, {}, {"input_tokens": None, "output_tokens": "many"}])
async def test_usage_that_was_not_reported_is_estimated(usage: dict[str, Any] | None) -> None:
    """The record says so: tokens by the size of request and answer, and what they cost."""
    services = Plain()
    body = {"model": "claude-haiku-4-5", "max_tokens": 5000, "x": "y" * 4000}
    record = await served(services, answer=answer_with(usage), body=body)
    assert record["estimated"] is True
    assert 1000 <= record["input_tokens"] <= 1100
    assert 1000 <= record["output_tokens"] <= 1100
    assert record["cost_usd"] == pytest.approx((record["input_tokens"] + 5 * record["output_tokens"]) / 1e6)
    seen = services.stats.snapshot()
    assert (seen["estimated_requests"], seen["tokens"]["input_tokens"]) == (1, record["input_tokens"])
    capped = await served(Plain(), answer=answer_with(usage), body={**body, "max_tokens": 7})
    assert capped["output_tokens"] == 7


async def test_what_answers_nothing_is_not_estimated() -> None:
    """An error, and an exchange without an answer, used nothing that must be guessed."""
    error = b'{"type":"error","error":{"type":"api_error","message":"no"}}'
    assert (await served(Plain()))["estimated"] is False
    record = await served(Plain(), answer=error)
    assert (record["input_tokens"], record["cost_usd"], record["estimated"]) == (None, None, False)


async def test_a_sum_of_inferences_is_marked() -> None:
    """Two prompts in one count, where a long prompt has another price: the cost is an estimate, the tokens are not."""
    usage = {"input_tokens": 300_000, "output_tokens": 10, "server_tool_use": {"web_search_requests": 1}}
    answer = answer_with(usage).replace(b"claude-haiku-4-5", b"claude-sonnet-4-5")
    record = await served(Plain(), answer=answer)
    assert (record["input_tokens"], record["estimated"]) == (300_000, True)
    assert record["cost_usd"] == pytest.approx(0.9 + 10 * 15 / 1e6 + 0.01)


async def test_refusals_and_failures_have_records() -> None:
    """Everything that came in is in the log."""
    services = Plain()
    with chain_of(Audit, Router, settings=config(), services=services) as chain:
        flow = make_flow(
            body={"model": "m"}, headers=[(b"authorization", b"Bearer sk-ant-oat01-x")], origin=(True, "x.example", 443)
        )
        await descend(chain, flow)
        send_answer(chain, flow)
        assert flow.metadata["sluicegate"]["outcome"] == "refused"
        assert flow.metadata["sluicegate"]["status"] == 401
        flow = make_flow(body={"model": "m"})
        await descend(chain, flow)
        fail(chain, flow)
        assert flow.metadata["sluicegate"]["outcome"] == "failed"
        flow = make_flow(body={"model": "m"})
        await descend(chain, flow)
        fail(chain, flow, by_client=True)
    assert [r["outcome"] for r in services.sink.records] == ["refused", "failed", "client_abort"]
    assert services.stats.requests == 3
    assert services.monitor.seq == 3


async def test_a_line_for_people() -> None:
    """`MISS claude-haiku-4-5 200 274tok $0.00104 3951ms`."""
    services = Plain()
    await served(services, config(format="line"))
    assert re.fullmatch(rb"MISS claude-haiku-4-5-20251001 200 274tok \$0\.00129 \d+ms\n", services.sink.lines[0])


def record(**fields: Any) -> dict[str, Any]:
    return {
        "cache": None, "outcome": "ok", "model_served": None, "model": "claude-haiku-4-5", "method": "POST", "path": "/p",
        "status": 200, "input_tokens": 20, "output_tokens": 254, "cost_usd": 0.00104, "duration_ms": 3951.4, "error": None,
        **fields,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, "MISS claude-haiku-4-5 200 274tok $0.00104 3951ms"),
        ({"cache": "HIT", "cost_usd": 0.0}, "HIT claude-haiku-4-5 200 274tok $0.00000 3951ms"),
        ({"estimated": True}, "MISS claude-haiku-4-5 200 ~274tok ~$0.00104 3951ms"),
        ({"cost_usd": None}, "MISS claude-haiku-4-5 200 274tok $? 3951ms"),
        ({"cache_read_tokens": 6}, "MISS claude-haiku-4-5 200 280tok $0.00104 3951ms"),
        (
            {
                "outcome": "failed",
                "status": None,
                "input_tokens": None,
                "output_tokens": None,
                "model": None,
                "error": "no\nway",
            },
            "FAILED POST /p - 3951ms (no?way)",
        ),
        ({"model": "evil\r\n\x1b[31mMISS"}, "MISS evil???[31mMISS 200 274tok $0.00104 3951ms"),
    ],
)
def test_the_format_of_lines(fields: dict[str, Any], line: str) -> None:
    """Exact; one line whatever is in it."""
    assert format_line(record(**fields)) == line.encode() + b"\n"


async def test_hostile_text_is_written_all_the_same() -> None:
    """Lone surrogates, control characters and length without end break neither the log nor the counters."""
    services = Plain()
    answer = b'{"type":"message","model":"a\\ud800","usage":{"input_tokens":1},"stop_reason":"\\u0000\\n"}'
    await served(services, answer=answer, body=b'{"model":"\\ud800' + b"x" * 100_000 + b'"}', path="/v1/messages")
    assert len(services.sink.records) == 1
    assert len(services.sink.lines[0]) < 3000
    assert not services.alarms


async def test_a_sink_that_fails_raises_an_alarm() -> None:
    """The record is lost, the exchange is not."""
    services = Plain()
    services.sink.error = StoreError("disk full")
    await served(services)
    assert services.alarms == {"audit.lost": 1}
    assert services.stats.requests == 1


async def test_strict_serves_nothing_without_a_record(tmp_path: Path) -> None:
    """After a lost record requests are refused, until the log can be written again; then it is."""
    folder = tmp_path / "logs"
    services = Services({})
    settings = Settings(audit=AuditSettings(log=f"file:{folder / 'a.jsonl'}", strict=True))
    with chain_of(Audit, Router, settings=settings, services=services) as chain:
        sink: Any = services.sinks.get(settings.audit.log)
        broken, sink._fd = sink._fd, 10**6  # every write fails from now on
        sink.path = tmp_path / "file" / "a.jsonl"
        (tmp_path / "file").write_bytes(b"")
        first = make_flow(body={"model": "m"})
        await descend(chain, first)
        assert first.response is None
        send_answer(chain, first, [b"{}"])
        assert services.alarms["audit.lost"] == 1
        (folder / "a.jsonl").unlink()
        folder.rmdir()
        folder.write_bytes(b"")
        sink._fd = broken
        second = make_flow(body={"model": "m"})
        await descend(chain, second)
        assert second.response
        assert second.response.status_code == 503
        folder.unlink()
        third = make_flow(body={"model": "m"})
        await descend(chain, third)
        assert third.response is None
        send_answer(chain, third, [b"{}"])
        assert len((folder / "a.jsonl").read_bytes().splitlines()) == 1


async def test_off_writes_nothing() -> None:
    """Counters and the live feed go on."""
    services = Plain()
    await served(services, quiet())
    assert services.sink.lines == []
    assert services.stats.requests == 1


async def test_the_same_request_again_and_again_raises_an_alarm() -> None:
    """Without any limit configured; each one is counted, and the record says how many there were in a row."""
    services = Plain()
    records = [await served(services) for _ in range(22)]
    assert [record["repeated"] for record in records] == [None] * 19 + [20, 21, 22]
    assert services.alarms["client.loop"] == 1
    assert services.stats.snapshot()["repeated_requests"] == 3
    assert (await served(services, body={"model": "claude-haiku-4-5", "x": "another"}))["repeated"] is None


async def test_a_price_table_that_raises_costs_the_price(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown version of it, or a missing module: the call is recorded, counted and reported."""

    def broken(model: str, source: str) -> None:
        raise ModuleNotFoundError("No module named 'genai_prices'", name="genai_prices")

    monkeypatch.setattr(prices, "_look_up", broken)
    services = Plain()
    record = await served(services)
    assert (record["output_tokens"], record["cost_usd"], record["outcome"]) == (254, None, "ok")
    assert len(services.sink.lines) == 1
    assert services.stats.requests == 1
    assert services.alarms["prices.fault"] >= 1
    assert not services.alarms["stage.settle"]


async def test_a_value_that_cannot_be_written_costs_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record of the other stages' reports is written without it."""
    monkeypatch.setattr(Router, "report", lambda self, x: {"attempts": [object()], "team": "blue"})
    services = Plain()
    await served(services)
    (line,) = services.sink.lines
    written = msgspec.json.decode(line)
    assert (written["attempts"], written["team"], written["status"]) == (None, "blue", 200)
    assert services.alarms["audit.fault"] == 1


async def test_numbers_that_cannot_be_counted_cost_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the statistics or in the live feed is an alarm."""

    def broken(**facts: object) -> None:
        raise ZeroDivisionError

    services = Plain()
    monkeypatch.setattr(services.stats, "add", broken)
    await served(services)
    assert len(services.sink.lines) == 1
    assert services.alarms["audit.fault"] == 1
