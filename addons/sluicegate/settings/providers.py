"""Providers: where requests can go, and with which credentials."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, field

from sluicegate.settings.connections import (
    ProviderConnections,
)
from sluicegate.settings.provider_kinds import KINDS, ProviderKind, kind_named
from sluicegate.settings.reading.scalars import Section, Text
from sluicegate.settings.secret import Secret
from sluicegate.settings.timeouts import (
    ProviderTimeouts,
)

Kind = Annotated[
    str,
    Meta(
        pattern=rf"^({'|'.join(KINDS)}|x-[a-z0-9][a-z0-9-]{{0,61}})$",
        description=f"{', '.join(KINDS)}, or x-NAME of an installed package",
        extra={"choices": tuple(KINDS)},
    ),
]

# `provider: NAME` stands for a kind and a base URL. Where an endpoint speaks the Messages API, that one is taken.
PRESETS: Final[dict[str, tuple[Kind, str]]] = {
    "cerebras": ("openai", "https://api.cerebras.ai/v1"),
    "deepseek": ("anthropic", "https://api.deepseek.com/anthropic"),
    "fireworks": ("openai", "https://api.fireworks.ai/inference/v1"),
    "groq": ("openai", "https://api.groq.com/openai/v1"),
    "llamacpp": ("anthropic", "http://127.0.0.1:8080"),
    "lmstudio": ("anthropic", "http://127.0.0.1:1234"),
    "minimax": ("anthropic", "https://api.minimax.io/anthropic"),
    "mistral": ("openai", "https://api.mistral.ai/v1"),
    "moonshot": ("anthropic", "https://api.moonshot.ai/anthropic"),
    "ollama": ("anthropic", "http://127.0.0.1:11434"),
    "openrouter": ("anthropic", "https://openrouter.ai/api"),
    "together": ("openai", "https://api.together.xyz/v1"),
    "vllm": ("anthropic", "http://127.0.0.1:8000"),
    "xai": ("openai", "https://api.x.ai/v1"),
    "zai": ("anthropic", "https://api.z.ai/api/anthropic"),
}

# Where a preset's key is looked for if no keys are given: under the names that the vendors' own pages use.
PRESET_KEYS: Final[dict[str, str]] = {
    name: f"{name.upper()}_API_KEY"
    for name in (
        "cerebras", "deepseek", "fireworks", "groq", "minimax", "mistral", "moonshot", "openrouter", "together", "xai",
        "zai",
    )
}  # fmt: skip


MANTLE: Final = re.compile(r"bedrock-mantle\.([a-z0-9-]+)\.api\.aws", re.IGNORECASE)
"""Bedrock's endpoint of the Messages API, and its region: kind anthropic, with `keys` or signed with `credentials`."""


class Credentials(Section, frozen=True, kw_only=True):
    """AWS: an access key with its secret key, or the name of a profile. Google: a service account's key, as JSON."""

    access_key: Secret | None = None
    secret_key: Secret | None = None
    session_token: Secret | None = None
    profile: Text | None = None
    service_account: Text | None = None  # path of the key file


Flag = Annotated[str, Meta(min_length=1, max_length=256, description="a beta flag, `*` standing for any part of it")]


class Betas(Section, frozen=True, kw_only=True):
    """Beta flags of clients (anthropic-beta), before the gate's own list for the provider's kind."""

    allow: tuple[Flag, ...] = ()  # passed on, under the client's own name
    deny: tuple[Flag, ...] = ()  # removed from requests; goes before allow


class Provider(Section, frozen=True, kw_only=True):
    """One upstream. Without keys or other credentials the client's own credential passes through."""

    kind: Kind | None = None
    provider: Text | None = None  # a preset, in place of kind
    base_url: Text | None = None
    keys: Annotated[tuple[Secret, ...], Meta(min_length=1)] = ()
    balance: Literal["least_loaded", "round_robin"] = "least_loaded"  # between keys; a session keeps its own
    http2: bool = False  # offered to the provider for HTTP/1 clients, too; else it gets what the client speaks
    proxy: Text = "inherit"  # inherit | none | URL
    region: Text | None = None
    project: Text | None = None
    location: Text | None = None
    token: Secret | None = None
    credentials: Credentials = field(default_factory=Credentials)
    headers: dict[str, str] = field(default_factory=dict)  # added to every request
    timeouts: ProviderTimeouts = field(default_factory=ProviderTimeouts)
    connections: ProviderConnections = field(default_factory=ProviderConnections)
    betas: Betas = field(default_factory=Betas)
    consent: bool = False  # copilot: yes, to unofficial endpoints at one's own risk

    def keyed(self, environ: Mapping[str, str]) -> "Provider":
        """With the preset's own key, if it is in the environment and no key is given: it goes to the preset's URL only."""
        if not (variable := self.key_variable) or not environ.get(variable):
            return self
        return msgspec.structs.replace(self, keys=(Secret(f"env:{variable}"),))

    @property
    def key_variable(self) -> str | None:
        """Where the preset's key would be, if none is given."""
        return None if self.keys or self.base_url is not None else PRESET_KEYS.get(self.provider or "")

    @property
    def resolved_kind(self) -> Kind:
        """The kind, given or the preset's."""
        if self.kind is not None:
            return self.kind
        return PRESETS[self.provider][0] if self.provider in PRESETS else "anthropic"

    @property
    def traits(self) -> ProviderKind:
        """The properties of its kind."""
        return kind_named(self.resolved_kind)

    @property
    def resolved_base_url(self) -> str:
        """The base URL without a trailing slash: given, else the preset's, else the vendor's; "" if none is known."""
        if self.base_url is not None:
            return self.base_url.rstrip("/")
        if self.provider in PRESETS:
            return PRESETS[self.provider][1]
        default = self.traits.base_url
        return default(self) if default else ""
