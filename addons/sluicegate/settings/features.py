"""What the configuration can say and this version cannot do yet: refused, so that nobody relies on it.

One entry a feature; when the feature lands, its entry goes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from .errors import KeyPath, Problem, raise_all
from .node import Origins
from .policy import Limit, Limits
from .tree import Settings

type Asked = Iterator[tuple[KeyPath, object]]


@dataclass(frozen=True, slots=True)
class Missing:
    """`asked` gives the path and the value of every key that asks for the feature."""

    feature: str
    instead: str
    asked: Callable[[Settings], Asked]


def _when(path: str, idle: object) -> Callable[[Settings], Asked]:
    """Asked for whenever the value at the path is another than `idle`."""
    steps = tuple(path.split("."))

    def asked(settings: Settings) -> Asked:
        value: object = settings
        for step in steps:
            value = getattr(value, step)
        if value != idle:
            yield steps, value

    return asked


def _limits(settings: Settings) -> Asked:
    if settings.limits.default != Limit():
        yield ("limits", "default"), None
    for scope in ("teams", "keys", "users", "models", "providers"):
        for name in getattr(settings.limits, scope):
            yield ("limits", scope, name), None
    for key in ("strict", "queue_s", "when_store_down"):
        value = getattr(settings.limits, key)
        if value != getattr(Limits(), key):
            yield ("limits", key), value


def _kinds(settings: Settings) -> Asked:
    for name, provider in settings.providers.items():
        if provider.resolved_kind != "anthropic":
            key = "kind" if provider.kind is not None else "provider"
            yield ("providers", name, key), getattr(provider, key)


def _remote(key: KeyPath, url: Callable[[Settings], str], scheme: str) -> Callable[[Settings], Asked]:
    def asked(settings: Settings) -> Asked:
        if url(settings).startswith(scheme):
            yield key, None  # never shown: it may hold a password

    return asked


MISSING: Final = (
    Missing("identity by keys", "set it to open", _when("identity.mode", "open")),
    Missing("virtual keys", "remove it", _when("identity.keys", ())),
    Missing("trusted headers", "remove it", _when("identity.trusted_header", None)),
    Missing("the limiter", "remove it", _limits),
    Missing("the scrubber", "set it to off", _when("scrub.mode", "off")),
    Missing("providers of that kind", "use kind anthropic", _kinds),
    Missing("PostgreSQL", "set it to sqlite", _remote(("audit", "ledger"), lambda s: s.audit.ledger, "postgres")),
)


def unavailable(settings: Settings) -> Iterator[Problem]:
    """Path and message for every key that asks for what this version cannot do."""
    for missing in MISSING:
        for path, value in missing.asked(settings):
            shown = _shown(value)
            yield path, f"{shown}needs {missing.feature}, which this version does not have; {missing.instead}"


def refuse_unavailable(settings: Settings, origins: Origins | None = None) -> None:
    """Raise ConfigError if the settings ask for a feature that is not there; `load` does not do this."""
    where = origins or Origins()
    raise_all([where.error(path, message) for path, message in unavailable(settings)])


def _shown(value: object) -> str:
    match value:
        case bool():
            return f"{str(value).lower()} "
        case str():
            return f'"{value}" '
        case int() | float():
            return f"{value:g} "
    return ""
