"""Checks that types cannot express: rules between keys, and inside URLs, patterns and addresses."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import SplitResult, urlsplit

from sluicegate.core.cachekey.normalize import compile_strips
from sluicegate.core.redact.rules.rule import pattern_fault
from sluicegate.settings.errors import Problem
from sluicegate.settings.limits import DollarBudget, TokenBudget
from sluicegate.settings.provider_kinds import KINDS
from sluicegate.settings.providers import (
    MANTLE,
    PRESETS,
    Credentials,
    Provider,
)
from sluicegate.settings.reading.fault_texts import closest
from sluicegate.settings.tree import Settings

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_FORBIDDEN_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")  # as browsers write it
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f\\]")

# Framing and routing are the gate's; credentials belong under `keys`, `token` or `credentials`.
_OWN_HEADERS: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_CREDENTIAL_HEADERS: Final = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"})


def check(settings: Settings) -> Iterator[Problem]:
    """All faults in settings whose types are right."""
    for name, provider in settings.providers.items():
        for path, message in _provider(provider, settings, name):
            yield ("providers", name, *path), message
    yield from _routes(settings)
    yield from _identity(settings)
    yield from _cors(settings)
    yield from _limits(settings)
    backoff = settings.retry.backoff
    if backoff.start_s > backoff.max_s:
        yield ("retry", "backoff", "start_s"), f"is longer than max_s, {backoff.max_s:g} s"
    for part in ("system", "messages"):
        for index, pattern in enumerate(getattr(settings.cache.strip, part)):
            fault = _strip_fault(pattern)
            if fault is not None:
                yield ("cache", "strip", part, index), f"not a regular expression: {fault}"
    for name, pattern in settings.scrub.patterns.items():
        fault = pattern_fault(pattern)
        if fault is not None:
            yield ("scrub", "patterns", name), fault
    for key, url in (("store", settings.store), ("audit", settings.audit.ledger)):
        if "://" in url and not url.startswith("sqlite:") and (fault := _url_fault(url, None)):
            yield (("store",) if key == "store" else ("audit", "ledger")), fault


def _provider(provider: Provider, settings: Settings, name: str) -> Iterator[Problem]:
    if (provider.kind is None) == (provider.provider is None):
        yield (), "expected one of kind (such as anthropic) or provider (such as groq)"
        return
    if provider.provider is not None and provider.provider not in PRESETS:
        meant = closest(provider.provider, PRESETS) or f"; known presets: {', '.join(PRESETS)}"
        yield ("provider",), f"unknown preset{meant}"
        return
    if provider.base_url is not None and (
        fault := _base_url_fault(provider.base_url) or _endpoint_fault(provider.base_url, provider)
    ):
        yield ("base_url",), fault
    if provider.proxy not in ("inherit", "none") and (fault := _url_fault(provider.proxy, ("http", "https"))):
        yield ("proxy",), f"expected inherit, none or a URL; {fault}"
    yield from _required(provider, name, settings)
    yield from _unused(provider)
    yield from _headers(provider)


def _required(provider: Provider, name: str, settings: Settings) -> Iterator[Problem]:
    traits = provider.traits
    if traits.base_url is None and provider.base_url is None:
        yield ("base_url",), f"kind {provider.kind} needs it"
    for key in traits.requires:
        value = getattr(provider, key)
        if value is None:
            yield (key,), f"kind {provider.kind} needs it"
        elif not re.fullmatch(r"[a-z0-9][a-z0-9:.-]*", value):
            yield (key,), "expected lower-case letters, digits and dashes"
    if traits.consent and not provider.consent:
        yield ("consent",), traits.consent
    if traits.base_url_refused and provider.base_url is not None:
        yield ("base_url",), traits.base_url_refused
    given = provider.credentials
    if (given.access_key is None) != (given.secret_key is None):
        missing = "access_key" if given.access_key is None else "secret_key"
        yield ("credentials", missing), "access_key and secret_key must be set together"
    if given.session_token is not None and given.access_key is None:
        yield ("credentials", "session_token"), "it needs an access_key"
    if given.profile is not None and given.access_key is not None:
        yield ("credentials", "profile"), "set either a profile or an access_key, not both"


_INSTEAD: Final = {
    "token": "it belongs under keys",
    "access_key": "put its key under keys",
    "profile": "put its key under keys",
    "service_account": "put its key under keys",
}
"""A credential → the advice for a kind that does not use it. Left in place, it would be missed only upstream."""


def _unused(provider: Provider) -> Iterator[Problem]:
    traits = KINDS["bedrock"] if MANTLE.search(provider.resolved_base_url) else provider.traits
    for key, instead in _INSTEAD.items():
        owner, path = (provider, (key,)) if key == "token" else (provider.credentials, ("credentials", key))
        if getattr(owner, key) is not None and traits.credentials is not None and key not in traits.credentials:
            yield path, f"kind {traits.name} does not use it; {instead}"


def _headers(provider: Provider) -> Iterator[Problem]:
    for header, value in provider.headers.items():
        path = ("headers", header)
        if not _TOKEN.fullmatch(header):
            yield path, "not the name of a header"
        elif header.lower() in _OWN_HEADERS:
            yield path, "the gate sets this header itself"
        elif header.lower() in _CREDENTIAL_HEADERS:
            yield path, "credentials belong under keys, token or credentials"
        elif _FORBIDDEN_IN_VALUE.search(value) or not value.isascii():
            yield path, "the value has characters that are not allowed in a header"


def _routes(settings: Settings) -> Iterator[Problem]:
    for index, route in enumerate(settings.routes):
        for place, target in enumerate(route.targets):
            if target.region is not None and not re.fullmatch(r"[a-z0-9][a-z0-9-]*", target.region):
                yield ("routes", index, "targets", place, "region"), "expected lower-case letters, digits and dashes"
            if target.provider in settings.providers:
                continue
            known = ", ".join(settings.providers) or "none"
            path = ("routes", index, "targets", place, "provider")
            yield path, f'no provider "{target.provider[:64]}"; configured: {known}'


def _identity(settings: Settings) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, entry in enumerate(settings.identity.keys):
        before = first.setdefault(entry.key.reference, index)
        if before != index:
            yield ("identity", "keys", index, "key"), f"the same key as identity.keys[{before}]"
    header = settings.identity.trusted_header
    for index, peer in enumerate(header.peers if header else ()):
        try:
            ipaddress.ip_network(peer)
        except ValueError:
            yield ("identity", "trusted_header", "peers", index), "expected an address or network such as 10.0.0.0/8"
    if header and (header.name.lower() in _OWN_HEADERS | _CREDENTIAL_HEADERS):
        yield ("identity", "trusted_header", "name"), "this header already has a meaning; choose another name"
    if settings.identity.mode == "passthrough":
        for name, provider in settings.providers.items():
            if provider.keys or provider.token or provider.credentials != Credentials():
                yield (
                    ("providers", name),
                    "in identity.mode passthrough clients bring their own credential, which the gate cannot check, so "
                    "anyone could use this provider's; use mode keys, or remove the credential",
                )


def _cors(settings: Settings) -> Iterator[Problem]:
    for index, origin in enumerate(settings.cors.origins):
        if not _ORIGIN.fullmatch(origin):
            yield ("cors", "origins", index), "expected an origin such as https://app.example.com: no path, no `*`"


def _limits(settings: Settings) -> Iterator[Problem]:
    limits = settings.limits
    try:
        _ = limits.zone
    except (ValueError, LookupError, OSError):
        yield (
            ("limits", "timezone"),
            "unknown time zone; expected a name such as Europe/Berlin or UTC (a system without time zones needs tzdata)",
        )
    scopes = ("teams", "keys", "users", "models", "providers")
    named = [((scope, name), limit) for scope in scopes for name, limit in getattr(limits, scope).items()]
    for path, limit in [(("default",), limits.default), *named]:
        where = ("limits", *path)
        if limit.burst is not None and limit.rpm is None:
            yield (*where, "burst"), "burst needs rpm: it is the number of requests that may start at once"
        if limit.downgrade and limit.budget_usd == DollarBudget() and limit.budget_tokens == TokenBudget():
            yield (*where, "downgrade"), "downgrade needs a budget: set budget_usd or budget_tokens beside it"
        if path[0] in ("models", "providers"):
            for key in ("models", "deny", "aliases", "downgrade"):
                if getattr(limit, key):
                    yield (*where, key), "not allowed here; set it for keys, teams or users"
    for name in limits.providers:
        if name not in settings.providers:
            yield ("limits", "providers", name), f"unknown provider; configured: {', '.join(settings.providers) or 'none'}"


def _strip_fault(pattern: str) -> str | None:
    """Why RE2 rejects it, or None. RE2, because these patterns run over hostile text and it is linear in its length."""
    try:
        compile_strips((pattern,), ())
    except ValueError as error:
        return f"{error} (RE2 syntax: no look-around, no back-references)"
    return None


def _base_url_fault(url: str) -> str | None:
    """Why requests cannot be sent to this URL, or None. Does not quote it: it may hold a password."""
    fault = _url_fault(url, ("http", "https"))
    if fault is not None:
        return fault
    parts = urlsplit(url)
    if "@" in parts.netloc:
        return "expected a URL without credentials; they belong under keys"
    if "?" in url or "#" in url:
        return "expected a URL without query or fragment"
    return None


_ENDPOINT: Final = re.compile(r"/(?:v1/messages|messages|chat/completions|responses)/*$")


def _endpoint_fault(url: str, provider: Provider) -> str | None:
    """Base URLs that people take from the wrong line of a vendor's page: each request would be answered 404."""
    parts, traits = urlsplit(url), provider.traits
    if traits.adds_endpoint_path and _ENDPOINT.search(parts.path):
        return "expected the URL without the endpoint's path, which the gate adds"
    vendor = traits.base_url(provider) if traits.base_url else ""
    if urlsplit(vendor).path and parts.hostname == urlsplit(vendor).hostname and not parts.path.strip("/"):
        return f"expected {vendor}"
    return None


def _url_fault(url: str, schemes: tuple[str, ...] | None) -> str | None:
    if _NOT_IN_URLS.search(url):
        return "expected a URL without spaces, backslashes or control characters"
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError:
        return "expected a URL with a valid host and port"
    if schemes is not None and parts.scheme not in schemes:
        return f"expected a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    if not parts.hostname:
        return "expected a URL with a host"
    return "expected a port from 1 to 65535" if port == 0 else None
