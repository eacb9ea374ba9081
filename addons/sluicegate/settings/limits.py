"""Section `limits`: how much each caller may use."""

from typing import Literal

from msgspec import field

from sluicegate.settings.scalars import (
    Count,
    CountOrNone,
    Dollars,
    DollarsOrNone,
    Fraction,
    Name,
    Pattern,
    Patterns,
    Seconds,
    SecondsOrNone,
    Section,
    Text,
)


class DollarBudget(Section, frozen=True, kw_only=True):
    hour: Dollars | None = None
    day: Dollars | None = None
    week: Dollars | None = None
    month: Dollars | None = None


class TokenBudget(Section, frozen=True, kw_only=True):
    hour: Count | None = None
    day: Count | None = None
    week: Count | None = None
    month: Count | None = None


class Downgrade(Section, frozen=True, kw_only=True):
    """Beyond a part of any budget of the same limit, calls for one model go to another."""

    over: Fraction
    from_: Pattern = field(name="from")
    to: Text


class Limit(Section, frozen=True, kw_only=True):
    """What is not given is not limited. rpm: requests a minute; tpm: tokens a minute, reads from the cache not counted."""

    rpm: Count | None = None
    input_tpm: Count | None = None
    output_tpm: Count | None = None
    tpm: Count | None = None
    burst: Count | None = None  # requests at once; without it as many as rpm, and at least 200
    concurrency: Count | None = None
    budget_usd: DollarBudget = field(default_factory=DollarBudget)
    budget_tokens: TokenBudget = field(default_factory=TokenBudget)
    models: Patterns = ()  # none: all of them
    deny: tuple[Pattern, ...] = ()
    aliases: dict[Pattern, Text] = field(default_factory=dict)
    downgrade: tuple[Downgrade, ...] = ()


class Runaway(Section, frozen=True, kw_only=True):
    """A client in a loop; 0 is off. It is told once it has had its fill, and an alarm is raised."""

    same_request: CountOrNone = 0  # the same body so often, within window_s
    window_s: Seconds = 600.0
    session_usd: DollarsOrNone = 0.0  # one session so much, within session_minutes
    session_minutes: Count = 10


class Limits(Section, frozen=True, kw_only=True):
    default: Limit = field(default_factory=Limit)
    teams: dict[Name, Limit] = field(default_factory=dict)
    keys: dict[Name, Limit] = field(default_factory=dict)
    users: dict[Name, Limit] = field(default_factory=dict)
    models: dict[Pattern, Limit] = field(default_factory=dict)
    providers: dict[Name, Limit] = field(default_factory=dict)
    when_store_down: Literal["open", "closed"] = "open"
    strict: bool = False
    queue_s: SecondsOrNone = 0.0  # how long a call may wait for its turn
    cold_output_tokens: Count = 1024  # reserved for an answer while no earlier one of this key and model is known
    lease_s: Seconds = 900.0  # after a crash, what its calls had reserved is free again so much later
    runaway: Runaway = field(default_factory=Runaway)
