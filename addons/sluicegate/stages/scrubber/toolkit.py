"""The scrubber's tools, built from the settings: finder, placeholder grammar, tool policy, key, placeholder numbers."""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sluicegate.core.redact.hide.known_values import KnownValueScanner
from sluicegate.core.redact.hide.placeholder_factory import PlaceholderFactory
from sluicegate.core.redact.hide.placeholders import GRAMMARS, Grammar
from sluicegate.core.redact.restore.tool_policy import ToolPolicy
from sluicegate.core.redact.scan.finder import RulesError, build_finder
from sluicegate.core.redact.scan.finding import Finder
from sluicegate.services.process_state import StateKey
from sluicegate.services.services import Services
from sluicegate.settings import ConfigError, Settings
from sluicegate.settings.state_folder import state_folder
from sluicegate.stores.placeholder_numbers.base import PlaceholderNumbers
from sluicegate.stores.placeholder_numbers.key import load_or_create_key, parse_key
from sluicegate.stores.placeholder_numbers.redis import RedisPlaceholderNumbers
from sluicegate.stores.placeholder_numbers.sqlite import SqlitePlaceholderNumbers
from sluicegate.stores.urls import parse_store_url

__all__ = ["ScrubToolkit", "build_toolkit"]

_NUMBERS: Final = StateKey[PlaceholderNumbers]("scrubber.placeholder_numbers", lambda numbers: numbers.close())


@dataclass(frozen=True, slots=True)
class ScrubToolkit:
    finder: Finder
    grammar: Grammar
    tools: ToolPolicy
    key: bytes
    known_values: KnownValueScanner | None
    """None unless the mode is pseudonymize."""
    numbers: PlaceholderNumbers | None
    """None unless placeholders are numbered."""

    def placeholder_factory(self, conversation: bytes, owner: str = "") -> PlaceholderFactory:
        """`owner`: the caller, if callers are told apart, so that numbers reveal nothing about the values of others."""
        message = b"\0".join((b"conversation", owner.encode("utf-8", "surrogatepass"), conversation))
        digest = hmac.digest(self.key, message, "sha256")
        return PlaceholderFactory(self.key, digest, self.grammar, numbered=self.numbers is not None)


def build_toolkit(settings: Settings, services: Services) -> ScrubToolkit:
    """Raises ConfigError and StoreError."""
    scrub = settings.scrub
    hides = scrub.mode == "pseudonymize"
    key = _key(settings, services)
    grammar = GRAMMARS[scrub.style]
    return ScrubToolkit(
        finder=_finder(settings),
        grammar=grammar,
        tools=ToolPolicy(scrub.restore.tools, scrub.restore.allow_hosts),
        key=key,
        known_values=KnownValueScanner(grammar) if hides else None,
        numbers=_numbers(settings, services) if hides and scrub.numbering == "ranked" else None,
    )


def _finder(settings: Settings) -> Finder:
    scrub = settings.scrub
    try:
        return build_finder(
            rules=scrub.rules,
            salt=os.urandom(32),
            pii=scrub.pii,
            patterns=scrub.patterns,
            read=lambda path: Path(path).expanduser().read_bytes(),
        )
    except RulesError as e:
        raise ConfigError("scrub.rules", "", None, str(e)) from e
    except OSError as e:
        raise ConfigError("scrub.rules", "", None, f"{e.filename} cannot be read: {e.strerror}") from e


def _numbers(settings: Settings, services: Services) -> PlaceholderNumbers:
    """One store for all policies of the process that use the same place."""
    url = settings.store
    if parse_store_url(url).kind == "redis":
        return services.state.get(_NUMBERS, lambda: RedisPlaceholderNumbers(url), url)
    path = (state_folder(settings) / "conversations.sqlite").absolute()
    return services.state.get(_NUMBERS, lambda: SqlitePlaceholderNumbers(path), path)


def _key(settings: Settings, services: Services) -> bytes:
    """The configured key; by default a generated one, which only the processes of this machine share."""
    given = settings.scrub.key
    try:
        if given is not None:
            return parse_key(given.resolve(services.environ))
        if settings.scrub.mode != "pseudonymize":
            return b""
        if parse_store_url(settings.store).kind == "redis":
            raise ValueError("required with a shared store: all machines need the same key")
        return load_or_create_key(state_folder(settings))
    except ValueError as e:
        raise ConfigError("scrub.key", "", None, str(e)) from e
