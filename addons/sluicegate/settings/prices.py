"""Section `prices`: overrides of the price table."""

from sluicegate.settings.reading.scalars import (
    PricePerMillion,
    Section,
)


class Price(Section, frozen=True, kw_only=True):
    """US dollars per million tokens; a cache price that is not given has the price table's share of `input`."""

    input: PricePerMillion
    output: PricePerMillion
    cache_read: PricePerMillion | None = None
    cache_write_5m: PricePerMillion | None = None
    cache_write_1h: PricePerMillion | None = None
