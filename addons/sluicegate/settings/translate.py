"""Section `translate`: what happens to request fields that the target does not know."""

from typing import Literal

from sluicegate.settings.reading.scalars import (
    Section,
)


class Translate(Section, frozen=True, kw_only=True):
    unsupported: Literal["refuse", "drop"] = "refuse"
