"""The interface of a provider: where it listens, how requests, credentials and answers pass between it and the gate."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol
from urllib.parse import urlsplit

from sluicegate.core.formats.cloud_errors import Verdict
from sluicegate.core.messages.facts import RequestFacts
from sluicegate.core.messages.version import later_version
from sluicegate.core.wire.header_fields import HeaderFields

if TYPE_CHECKING:  # the package brings both translations along
    from sluicegate.core.translate.base import Transform

__all__ = [
    "Credential",
    "CredentialSource",
    "Estimated",
    "Key",
    "Origin",
    "Provider",
    "ProviderRequest",
    "ProviderSurface",
    "ResponsePlan",
    "ResponsePlanner",
    "SigningInput",
    "UpstreamRequest",
    "Verdict",
    "bearer_token",
    "is_loopback",
    "origin_of",
    "pass_through",
]

Credential = HeaderFields
"""Header fields that authenticate a request at one provider."""

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})
"""The usual spellings, recognised without parsing."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a provider listens: scheme, host, port, and the path that its API lives under (no slash at its end)."""

    tls: bool
    host: str
    port: int
    path: str = ""

    @property
    def authority(self) -> str:
        """As the Host header has it: without the scheme's own port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


# -- the request


ProviderSurface = Literal["messages", "count_tokens", "chat_completions"]
"""The client formats in which a request may reach a provider: all others are translated to the Messages format."""


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """A request as the stages left it: of the Messages API, or of Chat Completions if `surface` says so."""

    surface: ProviderSurface
    path: str
    """As the client wrote it, with its query."""
    fields: HeaderFields
    """The header fields, without credentials."""
    body: bytes = field(repr=False)
    facts: RequestFacts | None = None

    @property
    def stream(self) -> bool:
        return bool(self.facts and self.facts.stream)

    @property
    def betas(self) -> tuple[str, ...]:
        """The flags of all anthropic-beta fields, in their order."""
        named = [v.decode("latin-1") for k, v in self.fields if k.lower() == b"anthropic-beta"]
        return tuple(dict.fromkeys(flag.strip() for value in named for flag in value.split(",") if flag.strip()))

    @property
    def later_version(self) -> str | None:
        """The version in anthropic-version, unless it is the first, for which the clouds have names of their own."""
        named = next((v.decode("latin-1") for k, v in self.fields if k.lower() == b"anthropic-version"), "")
        return later_version(named)


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """How an answer becomes one in the format of the request."""

    status: int
    content_type: str | None = None
    """None: the provider's own."""
    transform: Transform | None = None
    usage: Literal["messages", "chat"] = "messages"
    """The format of its usage. messages: read after the transform; chat: before it."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Header fields put in place of those of the same names."""
    whole: bool = False
    """The transform gives nothing before the end, and raises there if the answer makes no sense."""

    @property
    def changes(self) -> bool:
        """Whether the bytes change: then length and encoding of the provider's answer no longer hold."""
        return self.transform is not None


class ResponsePlanner(Protocol):
    """Reads the head of a provider's answer, with header names in lower case. Each call creates a new transform.

    `id` names the answer if the provider does not; `now_s` in Unix seconds.
    """

    def __call__(self, status: int, headers: Mapping[str, str], *, id: str, now_s: int) -> ResponsePlan: ...


def pass_through(status: int, headers: Mapping[str, str], *, id: str, now_s: int) -> ResponsePlan:
    """An answer of the Messages API is passed on unchanged, errors included."""
    return ResponsePlan(status)


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """The request to send, with POST: all header fields but Host, length and credential; the body as on the wire."""

    path: str
    fields: HeaderFields
    body: bytes = field(repr=False)
    plan_response: ResponsePlanner = pass_through
    dropped: tuple[str, ...] = ()
    """The fields that the request lost, as short names fit for a header."""


@dataclass(frozen=True, slots=True)
class Estimated:
    """The provider cannot count tokens: the gate answers with its own estimate, and sends nothing."""

    input_tokens: int


# -- credentials


@dataclass(frozen=True, slots=True)
class SigningInput:
    """The request that a credential is for, at the moment of sending."""

    method: str
    tls: bool
    host: str
    """Without port; `authority` is what the Host header has."""
    authority: str
    path: str
    fields: HeaderFields
    body: bytes = field(repr=False)
    now_s: float
    region: str | None = None


class Key(Protocol):
    """A configured key with its current value, which its file or command may change while the gate runs."""

    @property
    def name(self) -> str:
        """Its name in logs and records."""
        ...

    @property
    def value(self) -> str: ...

    def ask_again(self) -> None:
        """The provider does not accept it: read it again."""
        ...


class CredentialSource(Protocol):
    """One credential of the gate's own."""

    name: str
    """Its name in logs and records, and the key of its health."""
    waits: bool
    """Whether `ready` may take time; it is awaited only if so."""

    async def ready(self) -> None:
        """Return when a valid one is there; called before each attempt. Raises Refused if none is available."""
        ...

    def fields(self, request: SigningInput) -> Credential:
        """The header fields for this request, to this host. Never waits."""
        ...

    def refused(self) -> bool:
        """The provider did not accept it (401). True: a new one is fetched, and another attempt makes sense."""
        ...


class Provider(Protocol):
    """One configured provider. Rebuilt when the settings change; keeps no state of a request."""

    kind: str
    name: str
    hosts: frozenset[str]
    """Hosts that the regular door decrypts for it."""
    pings: bool
    """Whether its streams have pings of their own."""
    takes_untranslated: frozenset[ProviderSurface]
    """The client formats, besides the Messages format, whose requests it takes unchanged; others are translated."""
    models_path: str | None
    """Where it lists its models (GET); None if it does not."""
    sources: Sequence[CredentialSource]
    """The gate's own credentials, each a target; if empty, `forwarded` decides about the client's own."""
    warning: str | None
    """A warning to log at start."""

    def origin(self, region: str | None = None) -> Origin:
        """Where it listens. `region`: the target's, in place of the provider's."""
        ...

    def prepare(
        self, request: ProviderRequest, *, model: str | None = None, region: str | None = None
    ) -> UpstreamRequest | Estimated:
        """The request in the provider's format. `model`: the route's, not the client's. Raises Refused if it has none."""
        ...

    def forwarded(self, presented: Credential, host: str) -> Credential:
        """The client's own credential, as it may go to `host`. Raises Refused if it must not."""
        ...

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict | None:
        """An error as one of the Messages API, for the retry law. None: the answer is one already.

        The body is empty while only the head is there.
        """
        ...


# -- addresses


def origin_of(base_url: str) -> Origin:
    """Read a base URL. Raises ValueError if it is not http(s) with a host."""
    u = urlsplit(base_url)
    if u.scheme not in ("http", "https") or not u.hostname:
        raise ValueError(f"{base_url!r} is not an http(s) URL with a host")
    tls = u.scheme == "https"
    return Origin(tls, u.hostname, u.port or (443 if tls else 80), u.path.rstrip("/"))


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine."""
    if host.lower() in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback  # an address, and not a name such as 127.example.com
    except ValueError:
        return False


def bearer_token(fields: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The token of an `Authorization: Bearer …`, or None."""
    for name, value in fields:
        if name.lower() == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip()
    return None
