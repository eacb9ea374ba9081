"""Sections `timeouts` and `providers.X.timeouts`."""

from sluicegate.settings.reading.scalars import (
    Seconds,
    SecondsOrNone,
    Section,
)


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
