"""Durations and sizes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.settings.reading.units import duration_s, size_bytes


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        *(("250ms", 0.25), ("30s", 30), ("5m", 300), ("1.5h", 5400), ("7d", 604_800), ("2w", 1_209_600), ("1 s", 1)),
        *((0, 0), (2, 2), (0.25, 0.25)),
    ],
)
def test_durations(written: object, seconds: float) -> None:
    """A duration is a number with a unit, or plain seconds."""
    assert duration_s(written) == seconds


@pytest.mark.parametrize(
    ("written", "size"),
    [("32MB", 32_000_000), ("64KiB", 65_536), ("1GB", 10**9), ("1.5kb", 1500), ("512B", 512), (7, 7), (8.0, 8)],
)
def test_sizes(written: object, size: int) -> None:
    """KB is 1000 bytes and KiB 1024, in any case of letters."""
    assert size_bytes(written) == size


@pytest.mark.parametrize(
    "written",
    ["", "5", "m", "5 minutes", "-5m", "1e3s", "5M", "٣s", "5m5s", -1, math.nan, math.inf, True, None, [], 10**400],
)
def test_no_durations(written: object) -> None:
    """Anything but one number and a known unit is refused; so are negative and unbounded numbers."""
    with pytest.raises(ValueError):
        duration_s(written)


@pytest.mark.parametrize("written", ["", "32", "MB", "1M", "0.3B", "1.0001KB", "-1MB", 1.5, -1, math.inf, False, None])
def test_no_sizes(written: object) -> None:
    """A size is a whole number of bytes; a bare `1M` says neither bytes nor bits."""
    with pytest.raises(ValueError):
        size_bytes(written)


@given(st.integers(0, 10**12))
def test_sizes_are_exact(number: int) -> None:
    """No size is rounded on its way through a fraction."""
    assert size_bytes(f"{number}KiB") == number * 1024
    assert size_bytes(f"{number}.5GB") == number * 10**9 + 5 * 10**8
