"""Section `identity`: who may call."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, field

from sluicegate.settings.reading.scalars import (
    Name,
    Patterns,
    Section,
    Text,
    User,
)
from sluicegate.settings.secret import Secret

Instant = Annotated[datetime, Meta(tz=True, description='a time such as "2027-01-31T00:00:00Z"')]


class VirtualKey(Section, frozen=True, kw_only=True):
    """A key that clients present to the gate; it never goes upstream."""

    key: Secret
    name: Name | None = None
    team: Name | None = None
    user: User | None = None
    project: Name | None = None
    tags: dict[Name, str] = field(default_factory=dict)
    models: Patterns = ()  # none: all of them
    expires: Instant | None = None


class Team(Section, frozen=True, kw_only=True):
    """What the keys of a team have where they say nothing themselves."""

    project: Name | None = None
    tags: dict[Name, str] = field(default_factory=dict)
    models: Patterns = ()  # none: all of them


class TrustedHeader(Section, frozen=True, kw_only=True):
    """A header in which a proxy in front of the gate names the caller; believed from its addresses only."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]+$", description="the name of a header")]
    peers: Annotated[tuple[Text, ...], Meta(min_length=1)]  # addresses or networks
    means: Literal["user", "team", "project"] = "user"


class Identity(Section, frozen=True, kw_only=True):
    mode: Literal["open", "keys", "passthrough"] = "open"
    admin_token: Secret | None = None
    keys: tuple[VirtualKey, ...] = ()
    teams: dict[Name, Team] = field(default_factory=dict)
    hash_key: Secret | None = None  # what keys are hashed with; none: a key of the state folder's own
    trusted_header: TrustedHeader | None = None
    shared_account: bool = False  # whether each key reaches what the provider keeps for all: files, batches, their results
