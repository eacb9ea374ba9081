"""`install()`: called by a script to put stages into the running mitmproxy. Several scripts share one Chain.

The Chain is added to mitmproxy itself, not to the script: it stays when the script is reloaded, broken or removed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from mitmproxy import ctx, exceptions

from sluicegate.gate.chain import Chain
from sluicegate.proxy import mitmproxy_internals as internals
from sluicegate.proxy.connections.descriptors import raise_limit
from sluicegate.services.services import Services
from sluicegate.stages.base import Stage

__all__ = ["install", "install_at_start"]

_RECORDERS: Final = ("save", "savehar", "dumper")
"""mitmproxy's own addons that record a flow at its end."""


def install(*stages: type[Stage], services: Services | None = None) -> Chain:
    """Add stages (classes) to the Chain of the running mitmproxy; create the Chain if there is none."""
    chain = ctx.master.addons.get(Chain.name)
    if isinstance(chain, Chain):
        chain.join(stages)
        return chain
    chain = _add(stages, services)
    try:
        chain.configure({"sluicegate_config"})
    except exceptions.OptionsError as e:
        # at the start an error in the log ends mitmproxy; later the Chain stays, without a policy, and denies everything
        logging.getLogger(__name__).error("%s", e)
    if internals.is_running():
        chain.running()
    return chain


def install_at_start(*stages: type[Stage], services: Services) -> None:
    """`install` for a command that starts mitmproxy itself. Raises OptionsError if the configuration cannot be used."""
    _add(stages, services).configure({"sluicegate_config"})


def _add(stages: Sequence[type[Stage]], services: Services | None) -> Chain:
    # each connection's "client connect" line costs more than the exchange's own record, and a cut-off request head
    # is logged there with its key
    logging.getLogger("mitmproxy.proxy.server").setLevel(logging.WARNING)
    raise_limit()
    chain = Chain(services)
    chain.join(stages)
    ctx.master.addons.add(chain)
    # a flow is written down as the stages left it at its end: without the body of a request that was refused, with the
    # answer that was streamed
    internals.call_last(*_RECORDERS)
    return chain
