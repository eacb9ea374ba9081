"""Hooks are looked up once and run inline; each addon sees the same, in the same order, as in stock mitmproxy."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from mitmproxy import exceptions, hooks, http
from mitmproxy.addons import maplocal, onboarding
from mitmproxy.proxy.layers.http import HttpRequestHook
from mitmproxy.test import taddons, tflow

from sluicegate.proxy.fast.dispatch import CachedAddonManager, adopt_dispatch


class Told:
    """An addon that writes down what it sees."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    def request(self, flow: http.HTTPFlow) -> None:
        self.log.append(f"{self.name}.request")

    def update(self, flows: list[http.HTTPFlow]) -> None:
        self.log.append(f"{self.name}.update")


class Waits(Told):
    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__(name, log)
        self.go_on = asyncio.Event()

    async def request(self, flow: http.HTTPFlow) -> None:  # type: ignore[override]
        await self.go_on.wait()
        self.log.append(f"{self.name}.request")


class Holds(Told):
    def request(self, flow: http.HTTPFlow) -> None:
        super().request(flow)
        flow.intercept()


class Fails(Told):
    def request(self, flow: http.HTTPFlow) -> None:
        super().request(flow)
        raise ValueError


class Halts(Told):
    def request(self, flow: http.HTTPFlow) -> None:
        super().request(flow)
        raise exceptions.AddonHalt


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def addons() -> Iterator[CachedAddonManager]:
    with taddons.context(loadcore=False) as tctx:
        adopt_dispatch({})
        manager: Any = tctx.master.addons
        assert type(manager) is CachedAddonManager
        yield manager


async def test_hooks_that_do_not_wait_are_done_at_once(addons: CachedAddonManager, log: list[str]) -> None:
    """All addons in their order, then the update: nothing is left to do."""
    addons.add(Told("one", log), Told("two", log))
    assert addons.ran(HttpRequestHook(tflow.tflow()))
    assert log == ["one.request", "two.request", "one.update", "two.update"]


async def test_one_that_waits_leaves_the_rest_to_later(addons: CachedAddonManager, log: list[str]) -> None:
    """What came before it is not run again, what comes after it waits; each is run once."""
    waits = Waits("two", log)
    addons.add(Told("one", log), waits, Told("three", log))
    hook = HttpRequestHook(tflow.tflow())
    assert not addons.ran(hook)
    assert log == ["one.request"]
    rest = asyncio.ensure_future(addons.handle_lifecycle(hook))
    await asyncio.sleep(0)
    assert log == ["one.request"]
    waits.go_on.set()
    await rest
    assert log == ["one.request", "two.request", "three.request", "one.update", "two.update", "three.update"]


async def test_a_flow_that_is_held_back_is_not_gone_on_with(addons: CachedAddonManager, log: list[str]) -> None:
    """It is held back in the user interface: the stream waits for its release, and no hook is run twice."""
    addons.add(Holds("one", log), Told("two", log))
    hook = HttpRequestHook(tflow.tflow())
    assert not addons.ran(hook)
    await addons.handle_lifecycle(hook)
    assert log == ["one.request", "two.request", "one.update", "two.update"]


@pytest.mark.parametrize(("addon", "seen"), [(Fails, ["one.request", "two.request"]), (Halts, ["one.request"])])
async def test_a_fault_is_logged_and_a_halt_heeded(
    addons: CachedAddonManager, log: list[str], addon: type[Told], seen: list[str]
) -> None:
    """An addon that raises does not keep the next from its turn; one that halts does."""
    addons.add(addon("one", log), Told("two", log))
    assert addons.ran(HttpRequestHook(tflow.tflow()))
    assert log == [*seen, "one.update", "two.update"]


async def test_an_addon_that_comes_late_is_asked(addons: CachedAddonManager, log: list[str]) -> None:
    """What was looked up is forgotten when an addon comes or goes."""
    addons.add(Told("one", log))
    addons.ran(HttpRequestHook(tflow.tflow()))
    late = Told("two", log)
    addons.add(late)
    log.clear()
    addons.ran(HttpRequestHook(tflow.tflow()))
    assert log == ["one.request", "two.request", "one.update", "two.update"]
    addons.remove(late)
    log.clear()
    await addons.handle_lifecycle(HttpRequestHook(tflow.tflow()))
    assert log == ["one.request", "one.update"]


async def test_a_file_is_mapped_as_before(addons: CachedAddonManager, tmp_path: Any) -> None:
    """mitmproxy's `map_local` is left out while it has nothing to map, and asked as soon as it has."""
    (tmp_path / "found").write_text("mapped")
    mapping = maplocal.MapLocal()
    addons.add(mapping)
    flow = tflow.tflow(req=tflow.treq(host="api.test", port=80, path=b"/found"))
    flow.live = True
    assert addons.ran(HttpRequestHook(flow))
    assert flow.response is None
    mapping.replacements = [maplocal.parse_map_local_spec(f"|//api.test/|{tmp_path}")]
    assert addons.ran(HttpRequestHook(flow))
    assert flow.response
    assert flow.response.text == "mapped"


@pytest.mark.parametrize(
    ("host", "header", "authority", "served"),
    [
        (b"mitm.it", b"mitm.it", b"", True),
        (b"api.test", b"mitm.it", b"", True),
        (b"api.test", b"mitm.it:80", b"", True),
        (b"api.test", b"api.test", b"", False),
        (b"mitm.it", b"", b"mitm.it:443", True),
    ],
)
async def test_mitmproxys_own_page_is_found_as_before(
    addons: CachedAddonManager, host: bytes, header: bytes, authority: bytes, served: bool
) -> None:
    """A request for `mitm.it`, by whatever name it says so, gets there; others are not put together to find out."""
    addons.add(onboarding.Onboarding())
    request = tflow.treq(
        host=host.decode(), authority=authority, headers=http.Headers([(b"Host", header)] if header else [])
    )
    flow = tflow.tflow(req=request)
    flow.live = True
    hook = HttpRequestHook(flow)
    assert onboarding.APP_HOST == "mitm.it"
    assert (flow.request.pretty_host == "mitm.it") == served
    if not addons.ran(hook):
        await addons.handle_lifecycle(hook)
    assert (flow.response is not None) == served


async def test_other_events_take_the_usual_way(addons: CachedAddonManager, log: list[str]) -> None:
    """An event of several values, or of none, reaches the addons as ever."""

    class Done(Told):
        def done(self) -> None:
            self.log.append("done")

    addons.add(Done("one", log))
    await addons.trigger_event(hooks.DoneHook())
    assert log == ["done"]
