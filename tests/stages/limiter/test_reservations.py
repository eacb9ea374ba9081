"""Reservations: a call reserves, settles once, and neither a failing store nor the end of a process loses its usage."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kits.limitskit import Clock, SlowStore, until
from sluicegate.core.limits.counters import Charge, Counter
from sluicegate.core.limits.reservations import Admitted, Denied, ReserveRequest
from sluicegate.services.services import Services
from sluicegate.stages.limiter import reservations as module
from sluicegate.stages.limiter.reservations import Reservations, reservations_for
from sluicegate.stores.limits import storage_from_url
from sluicegate.testing import quiet

USD = Counter("k:usd", "limits.default.budget_usd.day", "this key", "budget", "nano_usd", 1000, window="day")
CALLS = Counter("k:c", "limits.default.concurrency", "this key", "concurrency", "concurrency", 2)
LEASE_MS = 60_000


def call(name: str, usd: int = 400) -> ReserveRequest:
    return ReserveRequest(name, (Charge(CALLS, 1), Charge(USD, usd)), LEASE_MS)


def used(usd: int) -> tuple[Charge, ...]:
    return Charge(CALLS, 1), Charge(USD, usd)


class Rig:
    """Reservations in a store, and the alarms that they raise."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.alarms: list[tuple[str, dict[str, Any]]] = []
        self.reservations = Reservations(store, lambda kind, **facts: self.alarms.append((kind, facts)))

    async def usage(self) -> tuple[int, int]:
        """Running calls, and the used part of the budget, in the store."""
        calls, usd = await self.store.peek((CALLS, USD))
        return calls.used, usd.used

    async def settled(self) -> None:
        await until(lambda: not self.reservations._settling)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "slow"])
async def rig(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Rig]:
    """Over the store that answers at once, the one in a file, and one that always waits."""
    made = Rig(SlowStore(clock) if request.param == "slow" else storage_from_url(request.param, tmp_path, clock))
    yield made
    await made.reservations.close()


@pytest.fixture
async def slow(clock: Clock) -> AsyncIterator[Rig]:
    made = Rig(SlowStore(clock))
    yield made
    made.store.down, made.store.bug = False, None
    made.store.go.set()
    await made.reservations.close()


@pytest.mark.parametrize(("usage", "left"), [(150, 150), (0, 0), (900, 900)])
async def test_a_settlement_replaces_the_estimate(rig: Rig, usage: int, left: int) -> None:
    """An overestimate is refunded, and an underestimate is charged in full."""
    assert isinstance(await rig.reservations.reserve(call("a")), Admitted)
    assert await rig.usage() == (1, 400)
    rig.reservations.settle("a", used(usage))
    await rig.settled()
    assert await rig.usage() == (0, left)


async def test_without_usage_the_reservation_is_refunded(rig: Rig) -> None:
    """A call that was never sent leaves room for the next one."""
    assert isinstance(await rig.reservations.reserve(call("a", 1000)), Admitted)
    assert isinstance(await rig.reservations.reserve(call("b", 1)), Denied)
    rig.reservations.settle("a")
    await rig.settled()
    assert await rig.usage() == (0, 0)
    assert isinstance(await rig.reservations.reserve(call("b", 1)), Admitted)


async def test_a_second_settlement_changes_nothing(rig: Rig) -> None:
    """The stage may settle again when a call is cancelled after its end."""
    await rig.reservations.reserve(call("a"))
    for usage in (150, 300):
        rig.reservations.settle("a", used(usage))
        await rig.settled()
    assert await rig.usage() == (0, 150)


async def test_a_settlement_wakes_the_queue(rig: Rig) -> None:
    """A call that waits is admitted as soon as a running one has ended."""
    for name in ("a", "b"):
        await rig.reservations.reserve(call(name, 1))
    denied = await rig.reservations.reserve(call("c", 1))
    assert isinstance(denied, Denied)
    queue, stays = rig.reservations.queue, asyncio.Event()

    async def gone() -> None:
        await stays.wait()

    waiting = asyncio.create_task(queue.wait("k", lambda: rig.reservations.reserve(call("c", 1)), denied, 60.0, gone()))
    await until(lambda: queue.waiting("k") == 1)
    rig.reservations.settle("a", used(1))
    assert isinstance(await waiting, Admitted)
    assert (await rig.usage())[0] == 2


# -- the end of a process
async def test_calls_that_end_with_the_process_cost_what_they_reserved(rig: Rig) -> None:
    """No other process is kept waiting for their concurrency."""
    await rig.reservations.reserve(call("a", 300))
    await rig.reservations.reserve(call("b", 200))
    rig.reservations.settle("b", used(50))
    store, closed = rig.store, []

    async def close() -> None:
        closed.append(await rig.usage())

    rig.store.close, real = close, store.close
    await rig.reservations.close()
    rig.store.close = real
    assert closed == [(0, 350)]


async def test_a_crash_frees_its_reservations_when_their_lease_ends(tmp_path: Path, clock: Clock) -> None:
    """Before that they are held for the calls of the process, of which nothing more is heard."""
    crashed, next_one = (Rig(storage_from_url("sqlite", tmp_path, clock)) for _ in range(2))
    for name in ("a", "b"):
        await crashed.reservations.reserve(call(name, 300))
    await crashed.store.close()  # no settlement: the process is gone
    assert isinstance(await next_one.reservations.reserve(call("c", 10)), Denied)
    clock.ms += LEASE_MS - 1
    assert await next_one.usage() == (2, 600)
    clock.ms += 1
    assert await next_one.usage() == (0, 0)
    assert isinstance(await next_one.reservations.reserve(call("c", 10)), Admitted)
    await next_one.reservations.close()
    if crashed.reservations._extending:
        crashed.reservations._extending.cancel()


async def test_the_lease_of_a_running_call_is_renewed(slow: Rig) -> None:
    """Well before it ends, for all running calls at once; after the last one has ended it stops."""
    slow.reservations.lease_s = 0.03
    for name in ("a", "b"):
        await slow.reservations.reserve(call(name, 1))
    await until(lambda: len(slow.store.extended) >= 2)
    assert slow.store.extended[0] == (["a", "b"], 30)
    slow.reservations.settle("a")
    seen = len(slow.store.extended)
    await until(lambda: len(slow.store.extended) > seen + 1)
    assert slow.store.extended[-1] == (["b"], 30)
    slow.reservations.settle("b")
    await until(lambda: slow.reservations._extending is None)


# -- a store that fails
async def test_what_was_used_while_the_store_was_down_is_charged_when_it_is_back(slow: Rig) -> None:
    """The call that reserved before and the one that could not reserve, each once, and one alarm for all of it."""
    await slow.reservations.reserve(call("a"))
    slow.store.down = True
    assert await slow.reservations.reserve(call("b")) is None
    slow.reservations.settle("a", used(100))
    slow.reservations.settle("b", used(30))
    assert await slow.reservations.peek((USD,)) is None
    assert slow.store.settled == []
    assert [kind for kind, _ in slow.alarms] == ["limits.store_down"]
    slow.store.down = False
    slow.reservations._next_try = 0.0
    assert isinstance(await slow.reservations.reserve(call("c", 1)), Admitted)
    await slow.settled()
    assert slow.store.settled == ["a", "b"]
    assert await slow.usage() == (1, 131)


async def test_while_the_store_is_down_one_call_in_a_second_asks_it(slow: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others go on at once."""
    now = 1000.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    slow.store.down = True
    for _ in range(5):
        assert await slow.reservations.reserve(call("a")) is None
    assert slow.store.asked == 1
    now += 1.0
    slow.store.go.clear()
    first, *others = [asyncio.ensure_future(slow.reservations.reserve(call("a"))) for _ in range(5)]
    async with asyncio.timeout(20):
        assert await asyncio.gather(*others) == [None] * 4  # they do not wait for the one that asks
    assert slow.store.asked == 2
    slow.store.go.set()
    assert await first is None


async def test_a_settlement_that_fails_or_is_cancelled_is_repeated(slow: Rig) -> None:
    """At the latest when the process ends."""
    for name in ("fails", "cancelled"):
        await slow.reservations.reserve(call(name, 10))
    slow.store.go.clear()
    for name in ("fails", "cancelled"):
        slow.reservations.settle(name, used(5))
    next(f for f, (name, _) in slow.reservations._settling.items() if name == "cancelled").cancel()
    slow.store.down = True
    slow.store.go.set()
    await slow.settled()
    assert slow.store.settled == []
    slow.store.down = False
    await slow.reservations.close()
    assert sorted(slow.store.settled) == ["cancelled", "fails"]
    assert await slow.usage() == (0, 10)


async def test_a_bug_in_a_settlement_is_an_alarm_and_not_repeated(slow: Rig) -> None:
    """The lease of the reservation ends by itself."""
    await slow.reservations.reserve(call("a"))
    slow.store.bug = KeyError("bug")
    slow.reservations.settle("a", used(5))
    await slow.settled()
    ((kind, facts),) = slow.alarms
    assert kind == "limits.settle"
    assert str(facts["error"]).startswith("KeyError at ")
    assert slow.reservations._unsettled == {}


async def test_pending_settlements_are_bounded(slow: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that stays down does not fill the memory; what is dropped is reported."""
    monkeypatch.setattr(module, "_MAX_UNSETTLED", 3)
    slow.store.down = True
    await slow.reservations.reserve(call("first"))
    for n in range(10):
        slow.reservations.settle(str(n), used(1))
    assert list(slow.reservations._unsettled) == ["0", "1", "2"]
    assert [kind for kind, _ in slow.alarms] == ["limits.store_down", "limits.unsettled"]


async def test_a_store_that_stays_down_is_reported_at_the_end(slow: Rig) -> None:
    """With the number of calls whose usage is lost; the store is closed all the same."""
    slow.store.down = True
    await slow.reservations.reserve(call("a"))
    for name in ("a", "b"):
        slow.reservations.settle(name, used(1))
    await slow.reservations.close()
    assert slow.alarms[-1] == ("limits.unsettled", {"why": "no connection", "calls": 2})
    assert slow.store.closed == 1


async def test_the_same_problem_is_reported_once_a_minute(slow: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other problems have their own minute."""
    now = 1000.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    report: Callable[[str], bool] = slow.reservations.should_report
    assert [report("a"), report("a"), report("b")] == [True, False, True]
    now += 59.9
    assert not report("a")
    now += 0.2
    assert report("a")


# -- one for each store
async def test_policies_with_the_same_store_share_their_reservations(tmp_path: Path) -> None:
    """A reload keeps them, with its own lease; another folder has others."""
    services = Services({})
    here = quiet(store="sqlite", state_dir=tmp_path / "here")
    first = reservations_for(services, here)
    assert reservations_for(services, quiet(store="sqlite", state_dir=tmp_path / "here")) is first
    assert reservations_for(services, quiet(store="sqlite", state_dir=tmp_path / "there")) is not first
    assert reservations_for(Services({}), here) is not first
    assert first.lease_s == here.limits.lease_s
    await services.finish()
