"""Reservations: all or nothing, settled once, no usage lost or invented."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from sluicegate.core.limits import reservations
from sluicegate.core.limits.counters import Charge, Counter
from sluicegate.core.limits.reservations import Admitted, Denied, ReserveRequest
from sluicegate.core.limits.table import MemoryTable
from sluicegate.core.limits.windows import DAY_MS

DAY = 20_000 * DAY_MS
LEASE = 10_000
RPM = Counter("k:rpm", "limits.default.rpm", "this key", "bucket", "requests", 10, 60)
USD = Counter("k:usd", "limits.default.budget_usd.day", "this key", "budget", "nano_usd", 1000, window="day")
TEAM = Counter("t:usd", "limits.teams.a.budget_usd.day", "the team a", "budget", "nano_usd", 1500, window="day")
CONCURRENCY = Counter("k:c", "limits.default.concurrency", "this key", "concurrency", "concurrency", 4)


def call(name: str, usd: int = 100) -> ReserveRequest:
    return ReserveRequest(name, (Charge(RPM, 1), Charge(CONCURRENCY, 1), Charge(USD, usd), Charge(TEAM, usd)), LEASE)


def test_all_or_nothing() -> None:
    """If one counter is full, none is charged; the verdict names it, and when it has room."""
    table = MemoryTable()
    assert isinstance(reservations.reserve(table, call("a", 900), DAY), Admitted)
    before = dict(table.rows)
    denied = reservations.reserve(table, call("b", 200), DAY)
    assert isinstance(denied, Denied)
    assert denied.counter is USD
    assert denied.available_ms is None
    assert table.rows == before
    assert reservations.settle(table, "a", [Charge(RPM, 1), Charge(USD, 900), Charge(TEAM, 900)], DAY)
    denied = reservations.reserve(table, call("b", 200), DAY)
    assert isinstance(denied, Denied)
    assert (denied.available_ms, denied.used) == (DAY + DAY_MS, 900)


def test_the_same_id_reserves_once() -> None:
    """A store may repeat a request whose answer was lost."""
    table = MemoryTable()
    first, again = (reservations.reserve(table, call("a"), DAY) for _ in range(2))
    assert isinstance(first, Admitted)
    assert isinstance(again, Admitted)
    assert table.rows["k:usd"].held == 100
    assert first.usage == again.usage


def test_settled_once() -> None:
    """The usage is charged and the rest released; later settlements and releases have no effect."""
    table = MemoryTable()
    reservations.reserve(table, call("a"), DAY)
    assert reservations.settle(table, "a", [Charge(USD, 30), Charge(TEAM, 30)], DAY + 1)
    rows = dict(table.rows)
    assert not reservations.settle(table, "a", [Charge(USD, 30)], DAY + 2)
    assert not reservations.release(table, "a", DAY + 3)
    assert table.rows == rows
    assert rows["k:usd"][1:3] == (30, 0)
    assert rows["k:c"].held == 0


def test_a_call_that_outlives_its_window_is_charged_where_it_began() -> None:
    """The next day's budget is not touched, whether it was used before or not."""
    for used_first in (False, True):
        table = MemoryTable()
        reservations.reserve(table, call("a"), DAY)
        if used_first:
            reservations.reserve(table, call("b", 7), DAY + DAY_MS)
        reservations.settle(table, "a", [Charge(USD, 100)], DAY + DAY_MS)
        level = reservations.peek(table, [USD], DAY + DAY_MS)[0]
        assert level.used == (7 if used_first else 0)


def test_a_lease_ends() -> None:
    """Concurrency and budgets of a dead process are released; a renewed lease keeps those of a living one."""
    table = MemoryTable()
    reservations.reserve(table, call("dead"), DAY)
    reservations.reserve(table, call("alive"), DAY)
    reservations.extend(table, ["alive", "unknown"], LEASE, DAY + LEASE - 1)
    calls, usd = reservations.peek(table, [CONCURRENCY, USD], DAY + LEASE)
    assert (calls.used, usd.used) == (1, 100)
    calls, usd = reservations.peek(table, [CONCURRENCY, USD], DAY + 2 * LEASE)
    assert (calls.used, usd.used) == (0, 0)


def test_what_comes_late_is_charged_once() -> None:
    """Also a call whose lease has ended, and one that the store does not know."""
    table = MemoryTable()
    reservations.reserve(table, call("late"), DAY)
    reservations.peek(table, [USD], DAY + LEASE)
    used = [Charge(RPM, 1), Charge(USD, 80)]
    assert reservations.settle(table, "late", used, DAY + LEASE)
    assert not reservations.settle(table, "late", used, DAY + LEASE)
    assert reservations.settle(table, "unknown", [Charge(USD, 5)], DAY + LEASE)
    assert reservations.peek(table, [USD], DAY + LEASE)[0].used == 85


def test_memory_is_released() -> None:
    """Expired rows and reservations are deleted."""
    table = MemoryTable()
    for i in range(50):
        reservations.reserve(table, call(str(i), 1), DAY + i * 2000)
        reservations.settle(table, str(i), [Charge(USD, 1)], DAY + i * 2000)
    later = DAY + 2 * DAY_MS
    reservations.expire(table, later)
    table.sweep(later)
    assert table.rows == {}
    assert table.reservations == {}


@given(order=st.permutations([Charge(RPM, 3), Charge(USD, 400), Charge(TEAM, 1600), Charge(CONCURRENCY, 5)]))
def test_the_longest_wait_is_reported(order: list[Charge]) -> None:
    """Of several full counters the verdict names the one that stays full the longest, whatever their order."""
    table = MemoryTable()
    denied = reservations.reserve(table, ReserveRequest("a", tuple(order), LEASE), DAY)
    assert isinstance(denied, Denied)
    assert denied.counter is TEAM


class Conservation(RuleBasedStateMachine):
    """Whatever the order of calls, ends, crashes and repetitions: the sums are right."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.table = MemoryTable()
        self.now = DAY
        self.live: dict[str, tuple[int, int]] = {}
        """Reserved amount and end of lease."""
        self.expired: set[str] = set()
        self.spent = self.late = self.n = 0

    def expire(self) -> None:
        reservations.expire(self.table, self.now)
        for name in [name for name, (_, due) in self.live.items() if due <= self.now]:
            del self.live[name]
            self.expired.add(name)

    @rule(target=calls, usd=st.integers(0, 600))
    def reserve(self, usd: int) -> object:
        self.expire()
        self.n += 1
        name = str(self.n)
        if isinstance(reservations.reserve(self.table, call(name, usd), self.now), Denied):
            return multiple()
        self.live[name] = usd, self.now + LEASE
        return name

    @rule(name=calls, part=st.integers(0, 100))
    def settle(self, name: str, part: int) -> None:
        self.expire()
        usd = self.live.pop(name, (600, 0))[0] * part // 100
        late = name in self.expired
        self.expired.discard(name)
        before = self.table.row("k:usd").used
        first = reservations.settle(self.table, name, [Charge(USD, usd), Charge(TEAM, usd)], self.now)
        assert self.table.row("k:usd").used == before + (usd if first else 0)
        self.spent += usd if first else 0
        self.late += usd if late else 0

    @rule(name=calls)
    def extend(self, name: str) -> None:
        self.expire()
        reservations.extend(self.table, [name], LEASE, self.now)
        if name in self.live:
            self.live[name] = self.live[name][0], self.now + LEASE

    @rule(ms=st.integers(-50, LEASE))
    def wait(self, ms: int) -> None:
        self.now = max(DAY, min(self.now + ms, DAY + 55_000))

    @invariant()
    def balance(self) -> None:
        self.expire()
        row = self.table.row("k:usd")
        assert row.used == self.spent
        assert row.held == sum(usd for usd, _ in self.live.values())
        assert row.used + row.held <= USD.limit + self.late
        assert self.table.row("k:c").held == len(self.live) <= CONCURRENCY.limit


TestConservation = Conservation.TestCase
