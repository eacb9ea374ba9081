"""Cheaper hook dispatch: mitmproxy asks each of some forty addons for each event whether it has such a hook.

Here that is asked once per kind of event, and asked again whenever an addon comes or goes. The semantics stay: addons in
their order, an exception is logged and the next one is called, AddonHalt ends the event, async hooks are awaited. The
running master's AddonManager and Options are re-classed in place; SLUICEGATE_FAST=0 leaves them as they are.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from mitmproxy import addonmanager, ctx, exceptions, flow, hooks, http, options, optmanager
from mitmproxy.addons import maplocal, onboarding

from sluicegate.proxy import mitmproxy_internals as internals

__all__ = ["adopt_dispatch"]

Call = Callable[[Any], Any]


class CachedAddonManager(addonmanager.AddonManager):
    """Stock, but for each kind of event only the callables that exist, looked up once."""

    _calls: dict[str, tuple[Call, ...]]

    def register(self, addon: Any) -> Any:
        self._calls.clear()
        try:
            return super().register(addon)
        finally:
            self._calls.clear()

    def add(self, *addons: Any) -> None:
        super().add(*addons)
        self._calls.clear()

    def remove(self, addon: Any) -> None:
        self._calls.clear()
        try:
            super().remove(addon)
        finally:
            self._calls.clear()

    def clear(self) -> None:
        super().clear()
        self._calls.clear()

    def _look_up(self, event: hooks.Hook) -> tuple[Call, ...]:
        found = tuple(_cheaper(owner, f) for addon in self.chain for owner, f in self._iter_hooks(addon, event))
        self._calls[event.name] = found
        return found

    async def trigger_event(self, event: hooks.Hook) -> None:
        args = event.args()
        if len(args) != 1 or event.name in _RARE:
            await super().trigger_event(event)
        elif (rest := self._dispatch(event, args[0])) is not None:
            await rest

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        data = event.args()[0]
        if begun := event.__dict__.pop(internals.HOOK_BEGUN, None):
            rest = begun[0]
        elif isinstance(data, flow.Flow):
            rest = self._with_update(event, data)
        else:
            rest = self._dispatch(event, data)
        if rest is not None:
            await rest

    def ran(self, event: hooks.Hook) -> bool:
        """Run a flow's hooks inline, up to the first that waits. False: `handle_lifecycle` has to run the rest."""
        (data,) = event.args()
        rest = self._with_update(event, data)
        if rest is None and not data.intercepted:
            return True
        event.__dict__[internals.HOOK_BEGUN] = (rest,)
        return False

    def _with_update(self, event: hooks.Hook, data: flow.Flow) -> Awaitable[None] | None:
        rest = self._dispatch(event, data)
        return self._dispatch(_UPDATE, [data]) if rest is None else self._then_update(rest, data)

    async def _then_update(self, rest: Awaitable[None], data: flow.Flow) -> None:
        await rest
        if (more := self._dispatch(_UPDATE, [data])) is not None:
            await more

    def _dispatch(self, event: hooks.Hook, data: Any) -> Awaitable[None] | None:
        """Run the hooks; an awaitable for the rest of them where one is async."""
        calls = self._calls.get(event.name)
        if calls is None:
            calls = self._look_up(event)
        for n, call in enumerate(calls):
            try:
                result = call(data)
                if result is not None and inspect.isawaitable(result):
                    return self._rest(calls, n, result, data)
            except exceptions.AddonHalt:
                return None
            except Exception as e:  # noqa: BLE001 - as stock: logged, and the next addon is called
                _report(e)
        return None

    async def _rest(self, calls: tuple[Call, ...], n: int, waiting: Awaitable[Any], data: Any) -> None:
        try:
            await waiting
        except exceptions.AddonHalt:
            return
        except Exception as e:  # noqa: BLE001
            _report(e)
        for call in calls[n + 1 :]:
            try:
                result = call(data)
                if result is not None and inspect.isawaitable(result):
                    await result
            except exceptions.AddonHalt:
                return
            except Exception as e:  # noqa: BLE001
                _report(e)


def _report(e: Exception) -> None:
    """What stock does with an addon's exception; it lets OptionsError through."""
    with addonmanager.safecall():
        raise e


_RARE: Final = frozenset({"running", "configure", "load", "done"})
_UPDATE: Final = hooks.UpdateHook([])


def _cheaper(addon: Any, call: Call) -> Call:
    """An addon's hook, called only if it has something to do: two of mitmproxy's build every URL to find out."""
    if type(addon) is maplocal.MapLocal and call == addon.request:
        return lambda data: call(data) if addon.replacements else None
    if type(addon) is onboarding.Onboarding and call == addon.request:
        return lambda data: call(data) if _may_ask_for(addon.host, data) else None
    return call


def _may_ask_for(host: str, data: http.HTTPFlow) -> bool:
    """Whether a request may be for this host, by any of its names; if in doubt, it may."""
    d = data.request.data
    name = host.encode("ascii", "ignore")
    return (
        not host.isascii()
        or host == d.host
        or name in d.authority
        or any(name in value for field, value in d.headers.fields if len(field) == 4 and field.lower() == b"host")
    )


class PlainOptions(options.Options):
    """Stock, but reading a plain value does not deep-copy it."""

    def __getattr__(self, attr: str) -> Any:
        known: Mapping[str, Any] = self.__dict__.get("_options", {})
        option = known.get(attr)
        if option is None:
            raise AttributeError(f"No such option: {attr}")
        value = option.value
        if value is optmanager.unset:
            value = internals.option_default(option)
        return value if type(value) in _PLAIN else copy.deepcopy(value)


_PLAIN: Final = frozenset({bool, int, str, float, type(None)})


def adopt_dispatch(environ: Mapping[str, str]) -> None:
    """Put the cheaper dispatch into the running master, unless SLUICEGATE_FAST=0. Safe to call again."""
    if environ.get("SLUICEGATE_FAST") == "0":
        return
    master = ctx.master
    if type(master.addons) is addonmanager.AddonManager:
        master.addons.__dict__["_calls"] = {}
        master.addons.__class__ = CachedAddonManager
    if type(master.options) is options.Options:
        object.__setattr__(master.options, "__class__", PlainOptions)
