"""Parse the options of `sluicegate keys add` into the fields of a key record; an invalid option ends the command."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from sluicegate.cli.places import fail
from sluicegate.settings.reading.scalars import Name, Pattern, User
from sluicegate.settings.reading.units import duration_s

__all__ = ["moment", "named", "pattern", "read", "tag", "user_named"]


def read[T](option: str, parse: Callable[[str], T], written: str | None) -> T | None:
    try:
        return None if written is None else parse(written)
    except ValueError as e:
        fail(f"{option}: {e}")


def named(option: str, written: str | None) -> str | None:
    return read(option, lambda text: _typed(text, Name, "expected letters, digits, dots, dashes, underscores"), written)


def user_named(written: str | None) -> str | None:
    return read("--user", lambda text: _typed(text, User, "expected a name, or an e-mail address"), written)


def _typed(text: str, kind: Any, expected: str) -> str:
    try:
        return str(msgspec.convert(text, kind))
    except msgspec.ValidationError:
        raise ValueError(expected) from None


def tag(written: str) -> tuple[str, str]:
    name, equals, value = written.partition("=")
    if not equals or not value or len(value) > 256 or not value.isprintable():
        fail("--tag: expected NAME=VALUE, such as cost_center=4711")
    return str(named("--tag", name)), value


def pattern(written: str) -> str:
    return str(read("--models", lambda text: _typed(text, Pattern, "expected a pattern such as claude-*"), written.strip()))


def moment(written: str, now: float) -> float:
    """Unix seconds of `90d` from now, or of a date or time (UTC if it names no zone)."""
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        at = now + duration_s(written)
    else:
        at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if at <= now:
        raise ValueError("expected a time in the future")
    return at
