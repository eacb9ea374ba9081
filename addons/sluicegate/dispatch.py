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

from mitmproxy import addonmanager, ctx, exceptions, flow, hooks, options, optmanager

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
        found = tuple(f for addon in self.chain for _, f in self._iter_hooks(addon, event))
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
        if (rest := self._dispatch(event, data)) is not None:
            await rest
        if isinstance(data, flow.Flow) and (rest := self._dispatch(_UPDATE, [data])) is not None:
            await rest

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


class PlainOptions(options.Options):
    """Stock, but reading a plain value does not deep-copy it."""

    def __getattr__(self, attr: str) -> Any:
        known: Mapping[str, Any] = self.__dict__.get("_options", {})
        option = known.get(attr)
        if option is None:
            raise AttributeError(f"No such option: {attr}")
        value = option.value
        if value is optmanager.unset:
            value = option._default
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
