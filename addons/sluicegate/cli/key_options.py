"""Parse the options of `sluicegate keys add` and `update` into fields of a key record; an invalid one ends the command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from sluicegate.cli.places import fail
from sluicegate.core.identity.keys import parse_budget
from sluicegate.settings.reading.scalars import Name, Pattern, User
from sluicegate.settings.reading.units import duration_s

__all__ = ["cleared", "properties", "read"]

_EMPTY: Final[dict[str, tuple[str, Any]]] = {
    "name": ("name", None),
    "team": ("team", None),
    "user": ("user", None),
    "project": ("project", None),
    "tags": ("tags", {}),
    "budget": ("budget_usd", None),
    "models": ("models", ()),
    "expires": ("expires_at", None),
}
"""What `--clear` takes: the field of a record, and its value without the property."""


def properties(
    now: float,
    name: str | None,
    team: str | None,
    user: str | None,
    project: str | None,
    tags: Sequence[str] | None,
    budget: str | None,
    models: Sequence[str] | None,
    expires: str | None,
) -> dict[str, Any]:
    """The fields of a record that the options give."""
    found = {
        "name": named("--name", name),
        "team": named("--team", team),
        "user": user_named(user),
        "project": named("--project", project),
        "tags": dict(tag(t) for t in tags) if tags else None,
        "models": tuple(pattern(p) for group in models for p in group.split(",")) if models else None,
        "budget_usd": read("--budget", parse_budget, budget),
        "expires_at": read("--expires", lambda written: moment(written, now), expires),
    }
    return {field: value for field, value in found.items() if value is not None}


def cleared(names: Iterable[str]) -> dict[str, Any]:
    """The fields that `--clear` empties, with their empty values."""
    for name in names:
        if name not in _EMPTY:
            fail(f"--clear: expected one of {', '.join(_EMPTY)}")
    return dict(_EMPTY[name] for name in names)


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
