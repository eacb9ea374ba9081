"""What follows a failed attempt: the answer of the hook that the proxy core calls."""

from __future__ import annotations

from mitmproxy import ctx, hooks, http

from sluicegate.core.errors import describe
from sluicegate.exchange.call import Failure
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.release import Release, snapshot
from sluicegate.gate.attempt_flows import show_failed_attempt
from sluicegate.proxy.hooks import Answer, Decision, GiveUp, Retry
from sluicegate.services.services import Services

__all__ = ["decide", "show_update"]


async def decide(x: Exchange, failure: Failure, services: Services) -> Decision:
    """Decide, and wait until the decision's time has come. A retry has a Release of its own."""
    attempts = x.routing.attempts
    if attempts is None or x.life.closed:
        return GiveUp()
    _show(x, failure, services)
    again = await attempts.again(x, failure)
    if x.routing.attempts:
        x.routing.failed_attempts = attempts.failed_attempts
    if again and x.answer is not None:
        x.routing.attempts = None
        return Answer(x.answer)
    if again and x.routing.target and not x.life.gone:
        if x.routing.call:
            x.routing.call.target = x.routing.target
        return Retry(Release(x.routing.target, snapshot(x.request)))
    return GiveUp()


def _show(x: Exchange, failure: Failure, services: Services) -> None:
    try:
        show_failed_attempt(x, failure)
    except Exception as e:  # noqa: BLE001 - only for display: it must not prevent the next attempt
        services.alarm("chain.view", exchange=x.id, error=describe(e))


async def show_update(flow: http.HTTPFlow) -> None:
    """As mitmproxy after a hook whose argument is a flow: tell its views, and wait for one that is held back."""
    await ctx.master.addons.trigger_event(hooks.UpdateHook([flow]))
    await flow.wait_for_resume()
