"""Virtual keys: the stored record, how a key is made, and how its status changes. Only keyed hashes of keys are stored."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from sluicegate.core.identity.caller import (
    KEY_PREFIX,
    Caller,
    Period,
    TeamDefaults,
)

__all__ = [
    "SECRET_BYTES",
    "KeyFault",
    "KeyRecord",
    "KeyStatus",
    "caller_of",
    "digest_of",
    "new_id",
    "new_key",
    "parse_budget",
    "paused",
    "pseudonym",
    "resumed",
    "revoked",
    "rotated",
    "status_of",
    "updated",
]

SECRET_BYTES: Final = 32
ID_BYTES: Final = 8

KeyStatus = Literal["valid", "unknown", "expired", "revoked", "paused", "replaced"]

_BUDGET: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)/(hour|day|week|month)")


class KeyFault(ValueError):
    """An operation that the key's status does not allow; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """A virtual key as it is stored, without the key itself. Times are Unix seconds."""

    id: str
    digest: bytes = field(repr=False)
    """Keyed hash of the current key."""
    created_at: float
    name: str | None = None
    team: str | None = None
    user: str | None = None
    project: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    budget_usd: dict[Period, float] | None = None
    expires_at: float | None = None
    revoked_at: float | None = None
    paused_at: float | None = None
    previous: bytes | None = field(default=None, repr=False)
    """Keyed hash of the key before the last rotation."""
    previous_until: float = 0.0


# -- hashes and new keys
def digest_of(server_key: bytes, key: bytes) -> bytes:
    """The keyed hash (HMAC-SHA256) by which a key is stored and looked up."""
    return hmac.digest(server_key, b"key\0" + key, "sha256")


def pseudonym(server_key: bytes, credential: bytes) -> str:
    """A stable public name for a credential of another kind: 64 bits of a keyed hash, separate from `digest_of`."""
    return "cred_" + hmac.digest(server_key, b"credential\0" + credential, "sha256")[:8].hex()


def new_key(randomness: bytes) -> str:
    """A key made of at least 32 random bytes."""
    if len(randomness) < SECRET_BYTES:
        raise ValueError(f"a key needs {SECRET_BYTES} random bytes")
    return KEY_PREFIX + base64.urlsafe_b64encode(randomness).rstrip(b"=").decode()


def new_id(randomness: bytes) -> str:
    """A key's public id, made of 8 random bytes: reveals nothing about the key."""
    return "key_" + base64.b32encode(randomness[:ID_BYTES]).rstrip(b"=").decode().lower()


# -- status
def status_of(record: KeyRecord, digest: bytes, now: float) -> KeyStatus:
    """The status of the key that `digest` is the hash of."""
    current = hmac.compare_digest(record.digest, digest)
    former = record.previous is not None and hmac.compare_digest(record.previous, digest)
    if not (current or former):
        return "unknown"
    if record.revoked_at is not None:
        return "revoked"
    if record.expires_at is not None and now >= record.expires_at:
        return "expired"
    if not current and now >= record.previous_until:
        return "replaced"
    return "valid" if record.paused_at is None else "paused"


def caller_of(record: KeyRecord, team: TeamDefaults | None = None) -> Caller:
    """The caller that a valid key stands for: the key's own properties, and the team's for those that it lacks."""
    team = team or TeamDefaults()
    return Caller(
        key_id=record.id,
        name=record.name,
        team=record.team,
        user=record.user,
        project=record.project or team.project,
        tags={**team.tags, **record.tags},
        models=record.models or team.models,
        budget_usd=record.budget_usd,
        mode="keys",
    )


# -- changes of status
def revoked(record: KeyRecord, now: float) -> KeyRecord:
    """Permanent; a second time changes nothing."""
    return record if record.revoked_at is not None else replace(record, revoked_at=now)


def paused(record: KeyRecord, now: float) -> KeyRecord:
    _alive(record)
    return record if record.paused_at is not None else replace(record, paused_at=now)


def resumed(record: KeyRecord) -> KeyRecord:
    _alive(record)
    return replace(record, paused_at=None)


def rotated(record: KeyRecord, digest: bytes, now: float, grace_s: float) -> KeyRecord:
    """A new key under the same id; the previous one stays valid for `grace_s`."""
    _alive(record)
    return replace(record, digest=digest, previous=record.digest, previous_until=now + grace_s)


def updated(record: KeyRecord, given: Mapping[str, Any]) -> KeyRecord:
    """Other properties than before: `given` are fields by name. An expired key becomes valid with a later `expires_at`."""
    _alive(record)
    return replace(record, **given)


def _alive(record: KeyRecord) -> None:
    if record.revoked_at is not None:
        raise KeyFault(f"{record.id} is permanently revoked; create another key with `sluicegate keys add`")


def parse_budget(written: str) -> Mapping[Period, float]:
    """`50/month`, or several: `5/day,50/month`. US dollars per hour, day, week or month. Raises ValueError."""
    budget: dict[Period, float] = {}
    for part in written.split(","):
        found = _BUDGET.fullmatch(part.strip())
        if found is None or float(found[1]) <= 0:
            raise ValueError("expected US dollars per hour, day, week or month, such as 50/month or 5/day,50/month")
        period: Period = found[2]  # type: ignore[assignment]  # the expression admits these words only
        if period in budget:
            raise ValueError(f"two budgets for a {period}")
        budget[period] = float(found[1])
    return budget
