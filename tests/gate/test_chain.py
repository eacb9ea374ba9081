"""Chain: the onion, its fates, and that nothing leaves without a release."""

import asyncio
import io
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy.io import FlowReader, FlowWriter

from sluicegate.core.errors import Refused
from sluicegate.exchange.exchange import exchange_of
from sluicegate.gate.chain import Chain
from sluicegate.gate.onion import progress_of
from sluicegate.stages import ORDER, Router
from sluicegate.testing import (
    HOOKS,
    chain_of,
    descend,
    fail,
    make_flow,
    planted,
    quiet,
    send_answer,
    the_exchange,
)

SECRET = b"sk-ant-api03-very-secret"
CREDENTIALS = [(b"X-Api-Key", SECRET), (b"Authorization", b"Bearer " + SECRET), (b"cookie", b"a=" + SECRET)]


def error_of(flow: http.HTTPFlow) -> dict[str, Any]:
    assert flow.response
    body = msgspec.json.decode(flow.response.content or b"")
    assert body["type"] == "error"
    found: dict[str, Any] = body["error"]
    return found


def released(flow: http.HTTPFlow) -> bool:
    x = exchange_of(flow)
    return x is not None and x.routing.release is not None


@pytest.mark.parametrize("n", range(5))
async def test_requests_go_down_and_answers_come_up(n: int) -> None:
    """With any number of stages: heads and requests in order, answers and ends in reverse, each once."""
    log: list[str] = []
    names = [f"s{i}" for i in range(n)]
    with chain_of(*(planted(name, log) for name in names)) as chain:
        flow = make_flow(body=b"{}")
        await descend(chain, flow)
        assert released(flow)
        assert send_answer(chain, flow, [b"one", b"two"]) == b"onetwo"
    down = [f"{s}.head" for s in names] + [f"{s}.request" for s in names]
    up = [f"{s}.answer" for s in reversed(names)] + [f"{s}.settle" for s in reversed(names)]
    assert log == down + up


@pytest.mark.parametrize("hook", ["head", "request"])
async def test_a_refusal_becomes_a_native_answer(hook: str) -> None:
    """The stages inside never see the request; those outside unwind; nothing is released."""
    log: list[str] = []
    refused = Refused(429, "slow down", retry_after=7, should_retry=True)
    with chain_of(planted("a", log), planted("b", log, raises={hook: refused}), planted("c", log)) as chain:
        flow = make_flow(body=b"{}")
        await descend(chain, flow)
        assert not released(flow)
        x = the_exchange(flow)
        send_answer(chain, flow)
    assert flow.response
    assert flow.response.status_code == 429
    assert error_of(flow) == {"type": "rate_limit_error", "message": "slow down"}
    assert flow.response.headers["retry-after"] == "7"
    assert flow.response.headers["x-should-retry"] == "true"
    assert flow.response.headers["x-sluicegate-id"] == x.id
    assert (x.ending.outcome, x.ending.is_own) == ("refused", True)
    assert "c.request" not in log
    assert log.count("a.settle") == 1


@pytest.mark.parametrize("raised", [Refused(429, "no"), KeyError(), None])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_stages_whose_turn_never_came_are_told_so(raised: BaseException | None, asynchronous: bool) -> None:
    """Where one refuses or has a bug: it, and those inside it, once; not those outside, nor one that stepped aside."""
    told: list[str] = []
    waits = (lambda _: asyncio.sleep(0)) if asynchronous else None
    on_errors: list[Any] = ["fail_closed", "skip", "fail_closed", "fail_closed"]
    raises: list[BaseException | None] = [None, ValueError(), raised, None]
    stages = [
        planted(name, [], on_error=on_error, raises={"request": error} if error else {}, waits=waits)
        for name, on_error, error in zip("abcd", on_errors, raises, strict=True)
    ]
    for stage in stages:
        stage.skipped = lambda self, _: told.append(self.name)  # type: ignore[method-assign]
    with chain_of(*stages) as chain:
        flow = make_flow(body=b"{}")
        await descend(chain, flow)
        send_answer(chain, flow)
        chain.client_disconnected(flow.client_conn)
    assert told == (["c", "d"] if raised else [])


async def test_what_is_under_way_ends_with_the_gate() -> None:
    """A request that still waits when mitmproxy ends: it has an end, before anybody writes its flow down."""
    told: list[str] = []
    stage = planted("a", [], waits=lambda _: asyncio.sleep(60))
    stage.skipped = lambda self, _: told.append(self.name)  # type: ignore[method-assign]
    with chain_of(stage) as chain:
        flow = make_flow(body=b"{}")
        waiting = asyncio.ensure_future(descend(chain, flow))
        await asyncio.sleep(0)
        await chain.done()
        waiting.cancel()
    assert told == ["a"]
    assert flow.metadata["sluicegate"]["outcome"] == "failed"


async def test_a_bug_in_skipped_stays_within() -> None:
    """The other stages are told all the same, and an alarm is raised."""
    told: list[str] = []

    def skipped(self: Any, _: Any) -> None:
        told.append(self.name)
        raise ValueError

    stages = [planted(name, [], raises={"request": Refused(400, "no")} if name == "a" else {}) for name in "abc"]
    for stage in stages:
        stage.skipped = skipped  # type: ignore[method-assign]
    with chain_of(*stages) as chain:
        flow = make_flow(body=b"{}")
        await descend(chain, flow)
        send_answer(chain, flow)
        assert chain.services.alarms["stage.skipped"] == 3
    assert told == ["a", "b", "c"]


@pytest.mark.parametrize("error", [KeyError("secret body"), KeyboardInterrupt(), asyncio.CancelledError(), SystemExit()])
@pytest.mark.parametrize("hook", ["head", "request"])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_bug_before_sending_answers_500(hook: str, error: BaseException, asynchronous: bool) -> None:
    """Whatever is raised, awaited or not: a native 500, an alarm without the exception's text, nothing released."""
    log: list[str] = []
    waits = (lambda _: asyncio.sleep(0)) if asynchronous else None
    with chain_of(planted("a", log), planted("b", log, raises={hook: error}, waits=waits), planted("c", log)) as chain:
        flow = make_flow(body=b"{}")
        await descend(chain, flow)
        assert not released(flow)
        assert error_of(flow)["type"] == "api_error"
        assert "secret" not in error_of(flow)["message"]
        send_answer(chain, flow)
        assert chain.services.alarms["stage.bug"] == 1
    assert flow.metadata["sluicegate"]["outcome"] == "internal"
    assert "c.request" not in log
    # a stage whose head was done has something to settle, even where its request was not
    assert [entry for entry in log if entry.endswith("settle")] == (
        ["a.settle"] if hook == "head" else ["c.settle", "b.settle", "a.settle"]
    )


async def test_an_answer_stops_the_descent() -> None:
    """A stage that answers by itself: those inside it are not asked; it and those outside see the answer."""
    log: list[str] = []

    def answer(x: Any) -> None:
        x.answer = http.Response.make(200, b"hit", {"content-type": "application/json"})

    with chain_of(planted("a", log), planted("cache", log, does={"request": answer}), planted("c", log)) as chain:
        flow = make_flow(body=b"{}")
        await descend(chain, flow)
        assert flow.response is not None
        assert not released(flow)
        send_answer(chain, flow, [b"hit"])
    assert "c.request" not in log
    assert log[-4:] == ["a.answer", "c.settle", "cache.settle", "a.settle"] or log[-2:] == ["cache.settle", "a.settle"]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_stage_that_steps_aside_leaves_the_request_as_it_was(asynchronous: bool) -> None:
    """All that it changed before its bug is undone; the descent goes on; it does not settle."""
    log: list[str] = []

    def meddle(x: Any) -> None:
        r = x.request
        r.content, r.path, r.method, r.host, r.headers["x-new"] = b"changed", "/other", "PUT", "evil.example", "1"
        x.answer = http.Response.make(200, b"half an answer")

    waits = (lambda _: asyncio.sleep(0)) if asynchronous else None
    bad = planted("bad", log, on_error="skip", does={"request": meddle}, raises={"request": ValueError()}, waits=waits)
    bad.head = lambda self, x: None  # type: ignore[method-assign]
    seen: list[Any] = []
    look = planted(
        "look", log, does={"request": lambda x: seen.append((x.request.content, x.request.path, x.request.method))}
    )
    with chain_of(planted("a", log), bad, look) as chain:
        flow = make_flow(body=b"{}", path="/v1/messages?beta=true")
        before = flow.request.get_state()
        await descend(chain, flow)
        assert released(flow)
        assert flow.request.get_state() == before
        assert seen == [(b"{}", "/v1/messages?beta=true", "POST")]
        send_answer(chain, flow, [b"x"])
        assert chain.services.alarms["stage.aside"] == 1


async def test_what_a_plain_method_changed_before_it_waited_is_undone_too() -> None:
    """A `request` that changes something, then returns an awaitable that fails."""
    log: list[str] = []

    async def later() -> None:
        raise ValueError

    bad = planted("bad", log, on_error="skip")

    def request(self: Any, x: Any) -> Any:
        x.request.content = b"changed"
        return later()

    bad.request = request  # type: ignore[method-assign]
    with chain_of(bad) as chain:
        flow = make_flow(body=b"{}")
        await descend(chain, flow)
        assert flow.request.content == b"{}"
        assert released(flow)


async def test_a_stage_whose_head_stepped_aside_is_not_asked_again() -> None:
    """Its later methods would work on state that is not there."""
    log: list[str] = []
    with chain_of(planted("bad", log, on_error="skip", raises={"head": ValueError()}), planted("b", log)) as chain:
        flow = make_flow()
        await descend(chain, flow)
        assert released(flow)
        send_answer(chain, flow, [b"x"])
    assert [entry for entry in log if entry.startswith("bad")] == ["bad.head"]


@pytest.mark.parametrize("end", ["ok", "upstream_error", "truncated", "failed", "client_abort", "disconnected"])
async def test_each_end_has_its_outcome(end: str) -> None:
    """Completed stages settle once, whatever the end, and see the outcome."""
    log: list[str] = []
    outcomes: list[Any] = []
    stages = planted("a", log), planted("b", log, does={"settle": lambda x: outcomes.append(x.ending.outcome)})
    with chain_of(*stages) as chain:
        flow = make_flow(body=b"{}")
        await descend(chain, flow)
        match end:
            case "ok":
                send_answer(chain, flow, [b"x"])
            case "upstream_error":
                send_answer(chain, flow, [b"x"], status=529)
            case "truncated":
                flow.response = http.Response.make(200, b"")
                chain.responseheaders(flow)
                fail(chain, flow)
            case "failed":
                fail(chain, flow)
            case "client_abort":
                fail(chain, flow, by_client=True)
            case "disconnected":
                chain.client_disconnected(flow.client_conn)
        # what comes late, or twice, changes nothing
        fail(chain, flow, by_client=True)
        chain.response(flow)
        chain.client_disconnected(flow.client_conn)
        assert chain.services.stats.active == 0
        assert not chain._open
    assert outcomes == ["client_abort" if end == "disconnected" else end]
    assert [entry for entry in log if entry.endswith("settle")] == ["b.settle", "a.settle"]
    assert flow.metadata["sluicegate"]["outcome"] == outcomes[0]
    assert not released(flow)


async def test_one_client_leaving_ends_all_its_exchanges() -> None:
    """A connection may carry several at a time."""
    log: list[str] = []
    with chain_of(planted("a", log)) as chain:
        first, second = make_flow(), make_flow()
        second.client_conn = first.client_conn
        await descend(chain, first)
        await descend(chain, second)
        chain.client_disconnected(first.client_conn)
        assert log.count("a.settle") == 2
        assert chain.services.stats.active == 0


PLANT = st.tuples(
    st.sampled_from(["fail_closed", "skip"]),
    st.dictionaries(
        st.sampled_from(HOOKS),
        st.sampled_from([Refused(403, "no"), ValueError("bug"), asyncio.CancelledError(), KeyboardInterrupt()]),
        max_size=2,
    ),
    st.booleans(),
)


@given(st.lists(PLANT, max_size=5), st.sampled_from(["ok", "error", "abort", "disconnect", "before"]), st.booleans())
def test_whatever_stages_do_the_invariants_hold(plants: list[Any], end: str, stream: bool) -> None:
    """Stages that raise anything, anywhere, in any number:

    a closed stage's bug before sending releases nothing; a request is answered or released, never both; what was answered
    by us is native; each stage settles at most once, and once if its request work completed; in reverse order; nothing
    escapes from a hook; the counters come back to zero; the flow can be saved and holds no credential.
    """
    asyncio.run(_check_invariants(plants, end, stream))


async def _check_invariants(plants: list[Any], end: str, stream: bool) -> None:
    log: list[str] = []
    stages = [
        planted(f"s{i}", log, on_error=on_error, raises=raises, waits=(lambda _: asyncio.sleep(0)) if later else None)
        for i, (on_error, raises, later) in enumerate(plants)
    ]
    with chain_of(*stages) as chain:
        flow = make_flow(body=b"{}", headers=CREDENTIALS)
        if end == "before":
            chain.requestheaders(flow)
            chain.client_disconnected(flow.client_conn)
        else:
            await descend(chain, flow)
            _check_descent(chain, flow, plants, log)
        x = exchange_of(flow) if end != "before" else None
        entered = [s.name for s in progress_of(x).entered if s.name.startswith("s")] if x else []
        match end:
            case "ok":
                send_answer(
                    chain, flow, [b"data: x\n\n"], headers={"content-type": "text/event-stream"} if stream else None
                )
            case "error":
                fail(chain, flow)
            case "abort":
                fail(chain, flow, by_client=True)
        chain.client_disconnected(flow.client_conn)
        assert chain.services.stats.active == 0
        assert not chain._open
        settled = [entry.removesuffix(".settle") for entry in log if entry.endswith(".settle")]
        assert len(settled) == len(set(settled))
        if end != "before":
            assert settled == entered[::-1]
        saved = io.BytesIO()
        FlowWriter(saved).add(flow)
        assert SECRET not in saved.getvalue()


def _check_descent(chain: Chain, flow: http.HTTPFlow, plants: list[Any], log: list[str]) -> None:
    x = the_exchange(flow)
    assert (flow.response is None) == (x.routing.release is not None)
    if flow.response is not None:
        assert flow.response.status_code in (403, 500)
        assert error_of(flow)["type"] in ("permission_error", "api_error")
    stopping = [
        i for i, (on_error, raises, _) in enumerate(plants)
        if any(isinstance(e := raises.get(h), Refused) or (e and on_error == "fail_closed") for h in ("head", "request"))
    ]  # fmt: skip
    # a stage may be kept from raising only by having stepped aside before
    certain = [
        i
        for i in stopping
        if not (plants[i][0] == "skip" and not isinstance(plants[i][1].get("head"), (Refused, type(None))))
    ]
    if certain:
        assert x.routing.release is None
    elif not stopping:
        assert x.routing.release is not None


async def test_credentials_are_taken_off_before_any_hook_sees_them() -> None:
    """Nor are they in a saved flow, its metadata, or what stages find in the headers."""
    log: list[str] = []
    seen: list[Any] = []
    with chain_of(planted("a", log, does={"head": lambda x: seen.append(bytes(x.request.headers))})) as chain:
        flow = make_flow(body=b"{}", headers=CREDENTIALS)
        await descend(chain, flow)
        x = the_exchange(flow)
        assert [k.lower() for k, _ in x.client_credentials] == [b"x-api-key", b"authorization", b"cookie"]
        assert SECRET not in seen[0]
        send_answer(chain, flow, [b"x"])
        assert x.client_credentials == ()
    saved = io.BytesIO()
    FlowWriter(saved).add(flow)
    assert SECRET not in saved.getvalue()
    saved.seek(0)
    (again,) = FlowReader(saved).stream()
    assert again.metadata["sluicegate"]["outcome"] == "ok"


async def test_the_summary_is_plain() -> None:
    """`flow.metadata` survives JSON, a copy, and the writer of flow files."""
    with chain_of() as chain:
        flow = make_flow(body=b"{}")
        await descend(chain, flow)
        send_answer(chain, flow, [b"x"])
    summary = flow.metadata["sluicegate"]
    assert msgspec.json.decode(msgspec.json.encode(summary)) == summary
    assert flow.copy().metadata["sluicegate"] == summary
    assert exchange_of(flow) is None


async def test_a_replayed_flow_has_no_past() -> None:
    """A second run of one flow object is a new exchange, with a summary of its own."""
    log: list[str] = []
    with chain_of(planted("a", log)) as chain:
        flow = make_flow(body=b"{}")
        await descend(chain, flow)
        first = the_exchange(flow)
        send_answer(chain, flow, [b"x"])
        flow.response, flow.is_replay = None, "request"
        await descend(chain, flow)
        second = the_exchange(flow)
        assert second is not first
        assert second.door == "replay"
        fail(chain, flow)
    assert flow.metadata["sluicegate"]["id"] == second.id
    assert flow.metadata["sluicegate"]["outcome"] == "failed"
    assert log.count("a.request") == 2


async def test_without_a_policy_nothing_passes() -> None:
    """Before the first good configuration: 503, and no exchange."""
    with chain_of() as chain:
        chain.policy = None
        flow = make_flow(body=b"{}", headers=CREDENTIALS)
        await descend(chain, flow)
        assert flow.response
        assert flow.response.status_code == 503
        assert not released(flow)
        assert SECRET not in bytes(flow.request.headers)


async def test_a_request_that_never_entered_is_answered() -> None:
    """A `request` hook without its `requestheaders` ends in a 500 of ours."""
    with chain_of() as chain:
        flow = make_flow()
        assert chain.request(flow) is None
        assert flow.response
        assert flow.response.status_code == 500


async def test_the_surface_is_that_of_the_request_that_leaves() -> None:
    """Another addon changed the path after the headers: stages see the new surface."""
    log: list[str] = []
    seen: list[str] = []
    with chain_of(planted("a", log, does={"request": lambda x: seen.append(x.surface)})) as chain:
        flow = make_flow(path="/v1/files", body=b"{}")
        chain.requestheaders(flow)
        flow.request.path = "/v1/messages"
        if waiting := chain.request(flow):
            await waiting
    assert seen == ["messages"]


async def test_an_intercepted_flow_is_seen_as_it_was_edited() -> None:
    """The stages run after the edit, and a credential typed in is taken off, too."""
    log: list[str] = []
    seen: list[Any] = []
    with chain_of(planted("a", log, does={"request": lambda x: seen.append(x.request.content)})) as chain:
        flow = make_flow(body=b"{}")
        chain.requestheaders(flow)
        flow.intercept()
        waiting = chain.request(flow)
        assert waiting is not None
        task = asyncio.ensure_future(waiting)
        await asyncio.sleep(0)
        assert not seen
        flow.request.content = b"edited"
        flow.request.headers["x-api-key"] = SECRET.decode()
        flow.resume()
        await asyncio.wait_for(task, 1)
        assert seen == [b"edited"]
        assert released(flow)
        assert SECRET not in bytes(flow.request.headers)
        assert (b"x-api-key", SECRET) in the_exchange(flow).client_credentials


async def test_a_client_that_left_while_a_stage_waited() -> None:
    """Nothing is released for it, and the stages inside are not asked."""
    log: list[str] = []
    waiting_stage = planted("wait", log, waits=lambda x: x.life.until_gone())
    with chain_of(planted("a", log), waiting_stage, planted("c", log)) as chain:
        flow = make_flow(body=b"{}")
        task = asyncio.ensure_future(descend(chain, flow))
        await asyncio.sleep(0)
        fail(chain, flow, by_client=True)
        await asyncio.wait_for(task, 1)
        assert not released(flow)
    assert "c.request" not in log
    assert log.count("a.settle") == 1


@pytest.mark.parametrize("hook", ["answer"])
async def test_a_bug_while_the_answer_begins(hook: str) -> None:
    """Closed: the answer is not passed on. Aside: it is, without the stage's taps."""
    for on_error in ("fail_closed", "skip"):
        log: list[str] = []

        def tap(x: Any) -> None:
            x.taps.observe(lambda _: None, name="left behind")

        bad = planted("bad", log, on_error=on_error, does={hook: tap}, raises={hook: ValueError()})  # type: ignore[arg-type]
        with chain_of(planted("a", log), bad) as chain:
            flow = make_flow(body=b"{}")
            await descend(chain, flow)
            flow.response = http.Response.make(200, b"")
            chain.responseheaders(flow)
            x = the_exchange(flow)
            assert bool(x.ending.abort) == (on_error == "fail_closed")
            assert len(x.taps) == 0 or on_error == "fail_closed"
            assert ("a.answer" in log) == (on_error == "skip")


@pytest.mark.parametrize(
    ("status", "headers", "chunked"),
    [
        (200, {}, True),
        (200, {"content-length": "3"}, False),
        (204, {}, False),
        (304, {}, False),
    ],
)
async def test_framing_can_show_an_unclean_end(status: int, headers: dict[str, str], chunked: bool) -> None:
    """An answer without a length is chunked for HTTP/1; one that has no body never is."""
    with chain_of() as chain:
        flow = make_flow(body=b"{}")
        await descend(chain, flow)
        flow.response = http.Response.make(status, b"", headers)
        if not headers:
            del flow.response.headers["content-length"]
        chain.responseheaders(flow)
        assert ("transfer-encoding" in flow.response.headers) == chunked


async def test_an_upgrade_that_nobody_asked_for_is_not_passed_on() -> None:
    """101 without a released upgrade."""
    with chain_of() as chain:
        flow = make_flow(body=b"{}")
        await descend(chain, flow)
        flow.response = http.Response.make(101)
        chain.responseheaders(flow)
        assert the_exchange(flow).ending.abort


async def test_websockets() -> None:
    """Refused on inference paths and where a stage must read; else released with its upgrade."""
    upgrade = [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
    log: list[str] = []
    with chain_of(planted("a", log)) as chain:
        flow = make_flow("GET", "/v1/messages", headers=upgrade)
        await descend(chain, flow)
        assert flow.response
        assert flow.response.status_code == 426
        flow = make_flow("GET", "/v1/realtime", headers=upgrade)
        await descend(chain, flow)
        release = the_exchange(flow).routing.release
        assert release
        assert release.upgrade
        flow = make_flow("GET", "/v1/other", headers=[(b"upgrade", b"h2c")])
        await descend(chain, flow)
        release = the_exchange(flow).routing.release
        assert release
        assert not release.upgrade
    reader = planted("reader", log)
    reader.reads_websockets = True
    with chain_of(reader) as chain:
        flow = make_flow("GET", "/v1/realtime", headers=upgrade)
        await descend(chain, flow)
        assert flow.response
        assert flow.response.status_code == 403


HOSTILE = [
    (b"x-claude-code-session-id", b"\xff\xfe\r"),
    (b"x-claude-code-agent-id", b"\x00" * 50),
    (b"upgrade", b"\xff"),
    (b"content-type", b"\xf0\x9f"),
    (b"last-event-id", "²".encode()),
    (b"origin", b"http://[::"),
    (b"\xff", b"\xff"),
]


@pytest.mark.parametrize("path", ["/v1/messages", "/health", "/monitor", "/stats", "/%ff%00", "/v1/\udcff"])
async def test_hostile_headers_and_paths(path: str) -> None:
    """No header or path makes a hook raise; the request is answered or released."""
    with chain_of(Router) as chain:
        for method in ("POST", "GET"):
            flow = make_flow(method, "/", body=b"{}", headers=HOSTILE)
            flow.request.data.path = path.encode("utf-8", "surrogateescape")
            await descend(chain, flow)
            assert (flow.response is None) == released(flow)


async def test_own_endpoints_never_reach_stages() -> None:
    """They are answered without a stage, a release or a count."""
    log: list[str] = []
    with chain_of(planted("a", log)) as chain:
        flow = make_flow("GET", "/health")
        await descend(chain, flow)
        assert msgspec.json.decode(send_answer(chain, flow, []) or flow.response.content) == {"status": "ok"}
        assert chain.services.stats.active == 0
    assert log == []


async def test_own_endpoints_that_fail() -> None:
    """A bug in a page is a native 500, and not an exception in mitmproxy."""
    with chain_of() as chain:

        def bug(x: Any) -> Any:
            raise RuntimeError

        chain.admin.open_pages["/health"] = bug
        flow = make_flow("GET", "/health")
        await descend(chain, flow)
        assert flow.response
        assert flow.response.status_code == 500


async def test_a_subscription_stays_with_its_host_without_a_router_too() -> None:
    """Where no Router runs the refusal is the same 401, not a bug."""
    token = [(b"authorization", b"Bearer sk-ant-oat01-x")]
    with chain_of() as chain:
        flow = make_flow(body=b"{}", headers=token, origin=(True, "other.example", 443))
        await descend(chain, flow)
        assert flow.response
        assert flow.response.status_code == 401


async def test_kept_bodies_are_those_of_the_provider() -> None:
    """With somebody to look at flows, the body is kept as it came; a change outside does not show."""
    log: list[str] = []

    class Upper:
        def feed(self, data: bytes) -> bytes:
            return data.upper()

        def end(self) -> bytes:
            return b""

    restore = planted("restore", log, does={"answer": lambda x: x.taps.change(Upper(), name="restore")})
    with chain_of(restore) as chain:
        chain.services.stats.active = 0
        type(chain).keeps_bodies, old = property(lambda _: True), type(chain).keeps_bodies  # type: ignore[assignment,method-assign]
        try:
            flow = make_flow(body=b"{}")
            await descend(chain, flow)
            assert send_answer(chain, flow, [b"placeholder"]) == b"PLACEHOLDER"
        finally:
            type(chain).keeps_bodies = old  # type: ignore[method-assign]
    assert flow.response
    assert flow.response.data.content == b"placeholder"


def test_stages_stand_in_their_order() -> None:
    """Joined in any order, several times, they stand as ORDER says."""
    from sluicegate.stages import ORDER

    with chain_of(settings=quiet()) as chain:
        chain.join(ORDER[::-1])
        chain.join(ORDER[:1])
        assert chain.stages == ORDER


STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


@pytest.mark.parametrize(("last", "outcome"), [(b"", "client_abort"), (STOP, "ok")])
@pytest.mark.parametrize("by_connection", [True, False])
async def test_a_client_that_leaves_at_the_last_event_has_its_answer(
    last: bytes, outcome: str, by_connection: bool
) -> None:
    """It need not wait for the end of the stream's bytes; before the last event it has left early."""
    with chain_of(*ORDER) as chain:
        flow = make_flow(body={"model": "m", "max_tokens": 5, "stream": True, "messages": []})
        await descend(chain, flow)
        flow.response = http.Response.make(200, b"", {"content-type": "text/event-stream"})
        chain.responseheaders(flow)
        x = the_exchange(flow)
        for data in (b'event: ping\ndata: {"type":"ping"}\n\n', last):
            x.taps(data) if data else None
        if by_connection:
            chain.client_disconnected(flow.client_conn)
        else:
            fail(chain, flow, by_client=True)
        record = flow.metadata["sluicegate"]
        assert (record["outcome"], record["error"] is None) == (outcome, outcome == "ok")
