"""Section `audit`: where records go."""

from typing import Literal

from sluicegate.settings.scalars import (
    Ledger,
    LogTarget,
    Section,
)


class Audit(Section, frozen=True, kw_only=True):
    log: LogTarget = "stdout"
    format: Literal["json", "line"] = "json"
    ledger: Ledger = "sqlite"
    strict: bool = False  # true: no call without its record
