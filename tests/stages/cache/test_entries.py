"""Cache entries: which may answer a request."""

from __future__ import annotations

import time

import pytest

from sluicegate.core.cachekey.cache_control import CacheDirectives
from sluicegate.core.redact.hide.placeholders import placeholders_in
from sluicegate.stages.cache.entries import Placeholders, fits
from sluicegate.stores.cache.base import Entry, Head
from sluicegate.testing import make_exchange, make_flow


def entry(*names: str, age_s: float = 0) -> Entry:
    return Entry("k" * 64, time.time() - age_s, time.time() + 60, Head("m", names=names), b"")


@pytest.mark.parametrize(("age_s", "max_age_s", "fresh"), [(5, None, True), (5, 60, True), (90, 60, False), (1, 0, False)])
def test_an_entry_older_than_max_age_does_not_fit(age_s: float, max_age_s: float | None, fresh: bool) -> None:
    """Without max-age any unexpired entry fits."""
    directives = CacheDirectives(max_age_s=max_age_s)
    assert fits(make_exchange(), entry(age_s=age_s), directives, Placeholders()) is fresh


@pytest.mark.parametrize(
    ("names", "body", "placeholders", "fitting"),
    [
        ((), b"no placeholder", Placeholders(placeholders_in), True),
        (("NAME_1",), b"ask <NAME_1>", Placeholders(placeholders_in), True),
        (("NAME_1",), b"ask <NAME_2>", Placeholders(placeholders_in), False),
        (("NAME_1", "NAME_2"), b"ask <NAME_1>", Placeholders(placeholders_in), False),
        (("NAME_1",), b"ask <NAME_1>", Placeholders(), False),
    ],
)
def test_an_entry_fits_a_request_with_all_its_placeholders(
    names: tuple[str, ...], body: bytes, placeholders: Placeholders, fitting: bool
) -> None:
    """The request must contain each of them; if the scrubber makes none now, no entry with one fits."""
    x = make_exchange(make_flow(body=body))
    assert fits(x, entry(*names), CacheDirectives(), placeholders) is fitting


def test_a_placeholder_split_between_events_is_found() -> None:
    """The deltas of a block are joined before the search."""
    stream = b"".join(
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"}}\n\n' % part
        for part in (b"hi <NAM", b"E_1>")
    )
    assert Placeholders(placeholders_in).in_answer(stream, stream=True) == {"NAME_1"}
    assert Placeholders().in_answer(stream, stream=True) == frozenset()
