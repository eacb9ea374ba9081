"""Section `limits`: how much each caller may use."""

from datetime import UTC, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import field

from sluicegate.settings.reading.scalars import (
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
    User,
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
    """Beyond a fraction of any budget of the same limit, calls for one model go to another."""

    over: Fraction
    from_: Pattern = field(name="from")
    to: Text


class Limit(Section, frozen=True, kw_only=True):
    """A field that is not set does not limit. rpm: requests per minute; tpm: tokens per minute, without cache reads."""

    rpm: Count | None = None
    input_tpm: Count | None = None
    output_tpm: Count | None = None
    tpm: Count | None = None
    burst: Count | None = None  # requests at once; default: rpm
    concurrency: Count | None = None
    budget_usd: DollarBudget = field(default_factory=DollarBudget)
    budget_tokens: TokenBudget = field(default_factory=TokenBudget)
    models: Patterns = ()  # empty: all models are allowed
    deny: tuple[Pattern, ...] = ()
    aliases: dict[Pattern, Text] = field(default_factory=dict)
    downgrade: tuple[Downgrade, ...] = ()


class Runaway(Section, frozen=True, kw_only=True):
    """A client in a loop; 0 is off. It is rejected once the threshold is reached, with an alarm."""

    same_request: CountOrNone = 0  # identical bodies within window_s
    window_s: Seconds = 600.0
    session_usd: DollarsOrNone = 0.0  # of one session, within session_minutes
    session_minutes: Count = 10


class Limits(Section, frozen=True, kw_only=True):
    default: Limit = field(default_factory=Limit)
    teams: dict[Name, Limit] = field(default_factory=dict)
    keys: dict[Name, Limit] = field(default_factory=dict)
    users: dict[User, Limit] = field(default_factory=dict)
    models: dict[Pattern, Limit] = field(default_factory=dict)
    providers: dict[Name, Limit] = field(default_factory=dict)
    when_store_down: Literal["open", "closed"] = "open"
    strict: bool = False
    queue_s: SecondsOrNone = 0.0  # how long a call may wait for capacity
    cold_output_tokens: Count = 1024  # reserved for an answer before the first one of this key and model
    lease_s: Seconds = 900.0  # after a crash, reservations are released after this time
    timezone: Text = "UTC"  # where the days, weeks and months of budgets begin, such as Europe/Berlin
    runaway: Runaway = field(default_factory=Runaway)

    @property
    def zone(self) -> tzinfo:
        """Raises ValueError or LookupError for a name that is no time zone's."""
        return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)
