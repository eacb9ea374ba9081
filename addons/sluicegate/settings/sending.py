"""How requests are sent: routes, repeats, time limits, connections."""

from typing import Annotated

import msgspec
from msgspec import Meta, field

from .content import RouteCache
from .scalars import Count, Factor, Pattern, Seconds, SecondsOrNone, Section, Status, Text


class Target(Section, frozen=True, kw_only=True):
    provider: Text
    model: Text | None = None  # the client's own where none is given
    region: Text | None = None  # bedrock and vertex: in place of the provider's
    context: Count | None = None  # tokens of prompt and answer; a fallback that is too small is passed over


class Route(Section, frozen=True, kw_only=True):
    """The first route whose pattern fits the model is taken, its targets in their order."""

    model: Pattern
    targets: Annotated[tuple[Target, ...], Meta(min_length=1)]
    cache: RouteCache = field(default_factory=RouteCache)


class Backoff(Section, frozen=True, kw_only=True):
    start_s: SecondsOrNone = 1.0
    factor: Factor = 2.0
    max_s: SecondsOrNone = 8.0
    jitter: bool = False


class Queue(Section, frozen=True, kw_only=True):
    """The last rung, when no target could serve: wait longer and longer, and try again."""

    size: Count = 100  # calls that may wait at one time; further ones get their error at once
    for_s: Seconds = 300.0  # after a call's first attempt
    start_s: Seconds = 5.0
    factor: Factor = 2.0
    max_s: Seconds = 60.0
    jitter: bool = True


class Retry(Section, frozen=True, kw_only=True):
    attempts: Annotated[int, Meta(ge=1, le=100)] = 4  # over all targets, the first one counted
    backoff: Backoff = field(default_factory=Backoff)
    cooldown_s: SecondsOrNone = 10.0
    status: tuple[Status, ...] = (408, 429, 500, 502, 503, 504, 529)
    queue: Queue | None = None


class Timeouts(Section, frozen=True, kw_only=True):
    """first_byte and idle hold for streams, total for each attempt with its answer."""

    connect_s: Seconds = 10.0
    tls_s: Seconds = 10.0
    first_byte_s: Seconds = 300.0
    idle_s: Seconds = 300.0
    total_s: Seconds = 600.0
    write_s: Seconds = 30.0
    pool_s: Seconds = 10.0  # the wait for a free connection
    drain_s: SecondsOrNone = 30.0  # how long a stopping gate lets calls end


class ProviderTimeouts(Section, frozen=True, kw_only=True):
    """What one provider has otherwise than `timeouts`."""

    connect_s: Seconds | None = None
    tls_s: Seconds | None = None
    first_byte_s: Seconds | None = None
    idle_s: Seconds | None = None
    total_s: Seconds | None = None
    write_s: Seconds | None = None
    pool_s: Seconds | None = None


class Connections(Section, frozen=True, kw_only=True):
    """Per destination; `keepalive` of them may be idle. `pool_s`, where given, goes before `timeouts.pool_s`."""

    max: Count = 100
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
    """The provider's numbers where it has some, else the general ones."""
    given = {name: value for name, value in msgspec.structs.asdict(own).items() if value is not None}
    return msgspec.structs.replace(connections, **given)
