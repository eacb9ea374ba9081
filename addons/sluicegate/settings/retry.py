"""Section `retry`: repeats, backoff, cooldown, the queue."""

from typing import Annotated

from msgspec import Meta, field

from sluicegate.settings.reading.scalars import (
    Count,
    Factor,
    Seconds,
    SecondsOrNone,
    Section,
    Status,
)


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
    client_wait_s: SecondsOrNone = 60.0  # an error that asks its client for a longer wait gets x-should-retry: false
