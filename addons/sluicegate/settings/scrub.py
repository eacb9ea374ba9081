"""Section `scrub`: what is hidden from providers."""

from typing import Annotated, Literal

from msgspec import Meta, field

from sluicegate.settings.reading.scalars import (
    Bytes,
    HostPattern,
    Name,
    Regex,
    Ruleset,
    Section,
)
from sluicegate.settings.secret import Secret


class Restore(Section, frozen=True, kw_only=True):
    """Tool inputs in which the model's placeholders become values again; `*` in a name stands for any part."""

    tools: dict[str, bool | Literal["no-egress"]] = field(default_factory=dict)
    allow_hosts: tuple[HostPattern, ...] = ()  # where a tool that is `no-egress` may send to all the same


class Scrub(Section, frozen=True, kw_only=True):
    mode: Literal["off", "detect", "pseudonymize", "block"] = "off"
    key: Secret | None = None
    rules: Annotated[tuple[Ruleset, ...], Meta(min_length=1)] = ("basic",)
    style: Literal["angle", "plain"] = "angle"
    numbering: Literal["ranked", "hmac"] = "ranked"
    max_body: Bytes = 32_000_000  # a larger one is refused, not passed on unread
    restore: Restore = field(default_factory=Restore)
    pii: Annotated[tuple[Literal["email", "phone", "iban", "card", "ip", "ssn"], ...], Meta(min_length=1)] = (
        "email",
        "phone",
        "iban",
        "card",
    )  # what the rule set `pii` looks for
    patterns: dict[Name, Regex] = field(default_factory=dict)  # own rules: the placeholder's name, what it stands for
