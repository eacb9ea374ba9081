"""Sections `connections` and `providers.X.connections`, and the values that hold for one provider."""

from typing import Annotated

import msgspec
from msgspec import Meta

from sluicegate.settings.reading.scalars import (
    Count,
    Seconds,
    Section,
)
from sluicegate.settings.timeouts import ProviderTimeouts, Timeouts


class Connections(Section, frozen=True, kw_only=True):
    """Per destination; `keepalive` of them may be idle. `pool_s`, where given, goes before `timeouts.pool_s`."""

    max: Count | None = None  # default: half of the open files that the system allows the process
    keepalive: Annotated[int, Meta(ge=0, le=100_000)] = 20
    pool_s: Seconds | None = None


class ProviderConnections(Section, frozen=True, kw_only=True):
    """What one provider has otherwise than `connections`."""

    max: Count | None = None
    keepalive: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    pool_s: Seconds | None = None


def merged_timeouts(
    timeouts: Timeouts,
    connections: Connections,
    own_timeouts: ProviderTimeouts,
    own_connections: ProviderConnections,
) -> Timeouts:
    """The most specific value of each: the provider's, else the general one."""
    own = {name: value for name, value in msgspec.structs.asdict(own_timeouts).items() if value is not None}
    pool_s = own_connections.pool_s or own_timeouts.pool_s or connections.pool_s or timeouts.pool_s  # none of them can be 0
    return msgspec.structs.replace(timeouts, **{**own, "pool_s": pool_s})


def merged_connections(connections: Connections, own: ProviderConnections) -> Connections:
    """The provider's own numbers, else the general ones."""
    given = {name: value for name, value in msgspec.structs.asdict(own).items() if value is not None}
    return msgspec.structs.replace(connections, **given)
