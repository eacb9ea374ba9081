"""Section `audit`: the record of each exchange, and the store of virtual keys."""

from typing import Literal

from sluicegate.settings.reading.scalars import (
    Ledger,
    LogTarget,
    Section,
)


class Audit(Section, frozen=True, kw_only=True):
    log: LogTarget = "stdout"
    format: Literal["json", "line"] = "json"
    # Only decides where virtual keys are stored: in PostgreSQL for postgresql://…, else in keys.sqlite in the state folder.
    # Records go to `log`; no ledger of them is kept.
    ledger: Ledger = "sqlite"
    strict: bool = False  # true: refuse requests while records cannot be written
