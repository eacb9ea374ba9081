"""The kinds of providers: where each is implemented, what it needs in the configuration, and what it can do.

This table is the only place that knows kinds by name. It stands below the providers because the checks of the
configuration read it before any provider is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

__all__ = ["KINDS", "CacheMarkers", "ProviderKind", "kind_named"]

CacheMarkers = Literal["none", "blocks", "automatic"]
"""Where a kind accepts `cache_control`: nowhere, on content blocks only, or at the top level of a request as well."""


class Located(Protocol):
    """The part of a provider's configuration that its default base URL may depend on."""

    @property
    def region(self) -> str | None: ...

    @property
    def location(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class ProviderKind:
    """The properties that all providers of one kind share. The defaults are those of a kind from another package."""

    name: str
    price_source: str
    """The id of this provider in the price table."""
    factory: str = ""
    """`module:name` of the class; "" for a kind that an installed package brings."""
    base_url: Callable[[Located], str] | None = None
    """The vendor's own URL; None if the configuration has to give one."""
    requires: tuple[str, ...] = ()
    """Keys of the configuration without which it cannot work."""
    credentials: frozenset[str] | None = None
    """Which credentials besides `keys` it uses; None if that is not known here."""
    consent: str | None = None
    """What the operator has to consent to before it is used."""
    base_url_refused: str | None = None
    """Why it accepts no base URL of the operator's."""
    adds_endpoint_path: bool = False
    """It adds its endpoint's path to the base URL, so a base URL must not contain that path."""

    is_anthropic_api: bool = False
    """It is the Messages API itself: it serves every path of that API, and requests reach it unchanged."""
    forwards_other_paths: bool = True
    """Paths outside inference make sense there."""
    serves_converse: bool = False
    """It serves Bedrock's Converse."""
    cache_markers: CacheMarkers = "none"


def _vertex_url(provider: Located) -> str:
    prefix = "" if provider.location == "global" else f"{provider.location}-"
    return f"https://{prefix}aiplatform.googleapis.com"


KINDS: Final[Mapping[str, ProviderKind]] = {
    kind.name: kind
    for kind in (
        ProviderKind(
            "anthropic",
            price_source="anthropic",
            factory="sluicegate.providers.anthropic:Anthropic",
            base_url=lambda _: "https://api.anthropic.com",
            credentials=frozenset(),
            adds_endpoint_path=True,
            is_anthropic_api=True,
            cache_markers="automatic",
        ),
        ProviderKind(
            "bedrock",
            price_source="aws",
            factory="sluicegate.providers.bedrock:Bedrock",
            base_url=lambda provider: f"https://bedrock-runtime.{provider.region}.amazonaws.com",
            requires=("region",),
            credentials=frozenset({"access_key", "profile"}),
            serves_converse=True,
            cache_markers="blocks",
        ),
        ProviderKind(
            "vertex",
            price_source="google",
            factory="sluicegate.providers.vertex:Vertex",
            base_url=_vertex_url,
            requires=("project", "location"),
            credentials=frozenset({"token", "service_account"}),
            cache_markers="automatic",
        ),
        ProviderKind(
            "openai",
            price_source="openai",
            factory="sluicegate.providers.openai:OpenAI",
            base_url=lambda _: "https://api.openai.com/v1",
            credentials=frozenset(),
            adds_endpoint_path=True,
            forwards_other_paths=False,
        ),
        ProviderKind(
            "copilot",
            price_source="copilot",
            factory="sluicegate.providers.copilot:Copilot",
            base_url=lambda _: "https://api.githubcopilot.com",
            credentials=frozenset({"token"}),
            consent=(
                "kind copilot uses unofficial endpoints, which may breach GitHub's terms; "
                "set it to true to accept that risk, for your own account only"
            ),
            base_url_refused="kind copilot takes none: its token goes to GitHub's own hosts only",
            forwards_other_paths=False,
        ),
    )
}


def kind_named(name: str) -> ProviderKind:
    """The kind of this name; for a name that is not in the table, the properties of a third party's kind."""
    return KINDS.get(name) or ProviderKind(name, price_source=name)
