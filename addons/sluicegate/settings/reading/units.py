"""Durations and sizes as people write them: `7d`, `250ms`, `32MB`, `64KiB`."""

import math
import re
from typing import Final

DURATION_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

SIZE_UNITS: Final = {  # lower case; K, M, G, T are decimal (SI), Ki, Mi, Gi, Ti binary (IEC 80000-13)
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}

_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]+)")


def duration_s(written: object) -> float:
    """Seconds of `7d`, `5m`, `30s`, `250ms` (also h, w) or of a plain number of seconds.

    Raises ValueError for anything else, for negative numbers, NaN and infinity.
    """
    if isinstance(written, str):
        number, unit = _split(written, "a duration such as 30s, 5m or 7d")
        factor = DURATION_UNITS.get(unit)
        if factor is None:
            raise ValueError(f"unknown unit of time {unit!r}; known are {', '.join(DURATION_UNITS)}")
        # 250 / 1000 is exact where 250 * 0.001 may not be.
        return float(number) / 1000 if unit == "ms" else float(number) * factor
    return _plain(written, "a duration such as 30s, 5m or 7d")


def size_bytes(written: object) -> int:
    """Bytes of `32MB`, `1GB`, `64KiB`, `512B` (any case) or of a plain whole number of bytes.

    Raises ValueError for anything else and for a fraction of a byte.
    """
    if isinstance(written, str):
        number, unit = _split(written, "a size such as 32MB or 64KiB")
        factor = SIZE_UNITS.get(unit.lower())
        if factor is None:
            raise ValueError(f"unknown unit of size {unit!r}; known are B, KB, MB, GB, TB, KiB, MiB, GiB, TiB")
        whole, _, fraction = number.partition(".")
        scaled, rest = divmod(int(whole + fraction) * factor, int(10 ** len(fraction)))
        if rest:
            raise ValueError("expected a whole number of bytes")
        return scaled
    size = _plain(written, "a size such as 32MB or 64KiB")
    if not size.is_integer():
        raise ValueError("expected a whole number of bytes")
    return int(size)


def _split(written: str, expected: str) -> tuple[str, str]:
    match = _QUANTITY.fullmatch(written.strip())
    if match is None:
        raise ValueError(f"expected {expected}")
    return match[1], match[2]


def _plain(written: object, expected: str) -> float:
    if isinstance(written, bool) or not isinstance(written, int | float):
        raise ValueError(f"expected {expected}")
    try:
        number = float(written)
    except OverflowError:
        raise ValueError(f"expected {expected}") from None
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"expected {expected}")
    return number
