"""Anthropic's Messages API, and every base URL that speaks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec

from sluicegate.core.addresses import canonical_host
from sluicegate.core.errors import Refused
from sluicegate.core.formats.messages.attribution import without_attribution
from sluicegate.core.messages.facts import rename_model
from sluicegate.core.messages.thinking import without_unsigned_thinking
from sluicegate.core.messages.tokens import estimate_input_tokens
from sluicegate.core.wire.json_object import edited, top
from sluicegate.providers.auth.held_keys import Keyed
from sluicegate.providers.base import (
    Credential,
    CredentialSource,
    Estimated,
    Origin,
    ProviderRequest,
    ProviderSurface,
    UpstreamRequest,
    Verdict,
    is_loopback,
    origin_of,
)
from sluicegate.providers.betas import without_flags
from sluicegate.providers.context import ProviderContext
from sluicegate.providers.quirks import COMPATIBLE, PRESET_QUIRKS, Quirks
from sluicegate.settings.providers import MANTLE, Credentials

__all__ = ["BASE_URL", "HOSTS", "Anthropic", "credential_of", "forwarded"]

BASE_URL: Final = "https://api.anthropic.com"
HOSTS: Final = frozenset({"api.anthropic.com"})
"""Hosts that the regular door decrypts."""

_OWN: Final = ("anthropic.com", "claude.com", "claude.ai")
_FORWARDED: Final = frozenset({b"x-api-key", b"authorization", b"cookie"})
_PATHS: Final = {"messages": "/v1/messages", "count_tokens": "/v1/messages/count_tokens"}


def credential_of(key: str) -> Credential:
    """The header for our own key: Bearer for a subscription's token, x-api-key for an API key."""
    if key.startswith("sk-ant-oat"):
        return ((b"authorization", b"Bearer " + key.encode()),)
    return ((b"x-api-key", key.encode()),)


def forwarded(presented: Credential, host: str) -> Credential:
    """The client's own credential, as it may go to `host`.

    A subscription's token (recognised by its prefix, in any header) goes to Anthropic's own hosts only, or to this
    machine. Raises Refused otherwise, and nothing is sent.
    """
    kept = tuple(f for f in presented if f[0].lower() in _FORWARDED)
    subscription = any(b"sk-ant-oat" in value for _, value in kept)
    if subscription and not _anthropics_own(host) and not is_loopback(host):
        raise Refused(
            401,
            f"a subscription login is passed on only to Anthropic's own hosts, not to {host}; "
            "use an API key, or set providers.<name>.keys for this provider",
            should_retry=False,
        )
    return kept


def _anthropics_own(host: str) -> bool:
    host = canonical_host(host)
    return any(host == own or host.endswith("." + own) for own in _OWN)


def quirks_of(preset: str | None, host: str) -> Quirks | None:
    """None for Anthropic itself, and for this machine (a simulator, a second gate) unless a preset says what runs here."""
    if preset is None and (_anthropics_own(host) or is_loopback(host)):
        return None
    return PRESET_QUIRKS.get(preset or "", COMPATIBLE)


class Anthropic:
    """A provider that takes requests as they are: betas, unknown fields and headers go there verbatim."""

    kind = "anthropic"
    pings = True
    takes_untranslated: frozenset[ProviderSurface] = frozenset()
    warning: str | None = None

    def __init__(self, context: ProviderContext) -> None:
        self.name = context.name
        self._origin = origin_of(context.settings.resolved_base_url)
        self.hosts = frozenset({canonical_host(self._origin.host)})
        self.models_path: str | None = f"{self._origin.path}/v1/models?limit=1000"
        self.sources = _sources(context, self._origin.host)
        self._denied = context.settings.betas.deny
        self._quirks = quirks_of(context.settings.provider, self._origin.host)

    def origin(self, region: str | None = None) -> Origin:
        return self._origin

    def prepare(
        self, request: ProviderRequest, *, model: str | None = None, region: str | None = None
    ) -> UpstreamRequest | Estimated:
        _, mark, query = request.path.partition("?")
        body, lost = without_unsigned_thinking(request.body), tuple[str, ...]()
        if model and request.facts and request.facts.model != model:
            body = rename_model(body, model)
        if quirks := self._quirks:
            if request.surface == "count_tokens" and not quirks.counts_tokens:
                return Estimated(estimate_input_tokens(body))
            body, lost = _adapted(body, quirks, model or (request.facts.model if request.facts else None) or "")
        fields, flags = without_flags(request.fields, self._denied) if self._denied else (request.fields, ())
        lost = (*lost, *(f"beta {flag}" for flag in flags)) if flags else lost
        return UpstreamRequest(self._origin.path + _PATHS[request.surface] + mark + query, fields, body, dropped=lost)

    def forwarded(self, presented: Credential, host: str) -> Credential:
        return forwarded(presented, host)

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict | None:
        return None


def _adapted(body: bytes, quirks: Quirks, model: str) -> tuple[bytes, tuple[str, ...]]:
    """The body without the fields that the provider does not support, and their names; the same bytes if it has none."""
    if not quirks.attribution:
        body = without_attribution(body)
    drops = quirks.drops_of(model)
    lost = tuple(sorted(drops & (top(body) or {}).keys())) if drops else ()
    return (edited(body, drop=lost) if lost else body), lost


def _sources(context: ProviderContext, host: str) -> tuple[CredentialSource, ...]:
    """The configured keys, or signatures for Bedrock's endpoint of the Messages API."""
    given, found = context.settings, MANTLE.fullmatch(host)
    if found and not given.keys and given.credentials != Credentials():
        from sluicegate.providers.auth import aws

        named = replace(context, settings=msgspec.structs.replace(given, region=given.region or found[1]))
        return aws.sources(named, "bedrock-mantle", lambda to: canonical_host(to) == canonical_host(host))
    configured = context.keys()
    return tuple(Keyed(key, credential_of) for key in configured)
