"""What the configuration can say and this version cannot do yet: refused, so that nobody relies on it.

One entry a feature; when the feature lands, its entry goes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from .errors import KeyPath, Problem, raise_all
from .node import Origins
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


def _remote(key: KeyPath, url: Callable[[Settings], str], scheme: str) -> Callable[[Settings], Asked]:
    def asked(settings: Settings) -> Asked:
        if url(settings).startswith(scheme):
            yield key, None  # never shown: it may hold a password

    return asked


MISSING: Final = (
    Missing("the cache", "set it to off", _when("cache.mode", "off")),
    Missing("prompt cache injection", "set it to off", _when("cache.prompt_cache.inject", "off")),
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
