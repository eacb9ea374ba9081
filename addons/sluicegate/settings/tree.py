"""Settings: the whole configuration as one immutable tree. `Settings()` is the gate without any configuration."""

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import field

from sluicegate.settings.audit import Audit
from sluicegate.settings.cache import Cache
from sluicegate.settings.connections import (
    Connections,
    merged_connections,
    merged_timeouts,
)
from sluicegate.settings.errors import ConfigError
from sluicegate.settings.identity import Identity
from sluicegate.settings.limits import Limits
from sluicegate.settings.prices import Price
from sluicegate.settings.provider_kinds import ProviderKind, kind_named
from sluicegate.settings.providers import Provider
from sluicegate.settings.reading.environment import default_state_dir
from sluicegate.settings.reading.node import Origins
from sluicegate.settings.reading.scalars import (
    Bytes,
    Host,
    Name,
    Pattern,
    SecondsOrNone,
    Section,
    Store,
    Text,
)
from sluicegate.settings.retry import (
    Retry,
)
from sluicegate.settings.routes import (
    Route,
)
from sluicegate.settings.scrub import Scrub
from sluicegate.settings.shown import masked, missing_secrets
from sluicegate.settings.timeouts import (
    Timeouts,
)
from sluicegate.settings.translate import Translate


def _state_dir() -> Path:
    return default_state_dir(os.environ)


class Regular(Section, frozen=True, kw_only=True):
    decrypt: tuple[Host, ...] = ()  # besides the providers' own hosts


class Cors(Section, frozen=True, kw_only=True):
    origins: tuple[Text, ...] = ()  # pages from there may call the gate, such as https://app.example.com


class Settings(Section, frozen=True, kw_only=True):
    providers: dict[Name, Provider] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    retry: Retry = field(default_factory=Retry)
    timeouts: Timeouts = field(default_factory=Timeouts)
    ping_s: SecondsOrNone = 15.0  # 0: no pings while a stream is silent
    connections: Connections = field(default_factory=Connections)
    identity: Identity = field(default_factory=Identity)
    limits: Limits = field(default_factory=Limits)
    scrub: Scrub = field(default_factory=Scrub)
    cache: Cache = field(default_factory=Cache)
    translate: Translate = field(default_factory=Translate)
    audit: Audit = field(default_factory=Audit)
    prices: dict[Pattern, Price] = field(default_factory=dict)
    store: Store = "sqlite"
    state_dir: Path = field(default_factory=_state_dir)
    max_body: Bytes = 32_000_000  # of requests on inference paths
    max_upload: Bytes = 512_000_000  # of requests on all other paths
    regular: Regular = field(default_factory=Regular)
    cors: Cors = field(default_factory=Cors)

    def timeouts_for(self, provider: str) -> Timeouts:
        """The time limits that hold for a provider, `pool_s` included."""
        own = self.providers.get(provider) or Provider()
        return merged_timeouts(self.timeouts, self.connections, own.timeouts, own.connections)

    def connections_for(self, provider: str) -> Connections:
        """The connection numbers that hold for a provider; take `pool_s` from `timeouts_for`."""
        own = self.providers.get(provider) or Provider()
        return merged_connections(self.connections, own.connections)

    def kind_of(self, provider: str) -> ProviderKind:
        """The kind of the provider of this name, which the operator chose; an unconfigured name is taken for a kind."""
        configured = self.providers.get(provider)
        return configured.traits if configured else kind_named(provider or "anthropic")

    def effective(self) -> dict[str, object]:
        """Everything, as JSON-ready values fit to be shown: secrets as references, passwords in URLs masked."""
        return masked(self)

    def check_secrets(self, environ: Mapping[str, str], origins: Origins | None = None) -> list[ConfigError]:
        """The references that cannot be followed: unset variables, unreadable files, unknown commands.

        No command is run. With `origins` from `load_with_origins` the errors have file and line.
        """
        where = origins or Origins()
        return [where.error(path, message) for path, message in missing_secrets(self, environ)]
