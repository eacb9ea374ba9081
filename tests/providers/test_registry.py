"""Kinds of providers by name, those of other packages too."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from sluicegate.providers import registry
from sluicegate.providers.context import ProviderContext
from sluicegate.providers.registry import build, third_parties
from sluicegate.settings.provider_kinds import KINDS, kind_named
from sluicegate.settings.providers import Provider as Settings

REQUIRED = {"bedrock": {"region": "us-west-2"}, "vertex": {"project": "p", "location": "l"}, "copilot": {"consent": True}}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_that_can_be_configured_is_there(kind: str) -> None:
    """With what the protocol asks of it."""
    p = build(ProviderContext("p", Settings(kind=kind, **REQUIRED.get(kind, {})), {}))
    assert (p.kind, p.name) == (kind, "p")
    assert p.origin().tls
    assert p.hosts
    assert isinstance(p.pings, bool)


def test_a_kind_of_another_package_has_the_general_properties() -> None:
    """It has no URL of a vendor, takes any credential, gets no cache markers, and is asked for by its own name's prices."""
    theirs = kind_named("x-acme")
    assert (theirs.base_url, theirs.credentials, theirs.cache_markers, theirs.price_source) == (
        None,
        None,
        "none",
        "x-acme",
    )
    assert theirs.forwards_other_paths
    assert not theirs.is_anthropic_api


class Theirs:
    kind = "x-acme"

    def __init__(self, context: ProviderContext) -> None:
        self.name = context.name


def test_other_packages_bring_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """By an entry point of the kind's name; our own can not be replaced."""
    points = [EntryPoint(n, f"{__name__}:Theirs", registry.GROUP) for n in ("x-acme", "anthropic")]

    def entry_points(group: str, name: str | None = None) -> list[EntryPoint]:
        return [p for p in points if name in (None, p.name)]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    monkeypatch.setattr(EntryPoint, "load", lambda self: Theirs)
    assert third_parties() == ("x-acme",)
    assert isinstance(build(ProviderContext("p", Settings(kind="x-acme"), {})), Theirs)
    assert build(ProviderContext("p", Settings(kind="anthropic"), {})).kind == "anthropic"


def test_an_unknown_kind_is_told() -> None:
    """With the path, and what there is."""
    with pytest.raises(ValueError, match=r"providers\.p\.kind.*'x-none'.*anthropic, bedrock"):
        build(ProviderContext("p", Settings(kind="x-none"), {}))


def test_anthropic_alone_loads_no_other() -> None:
    """What is not configured takes no memory: no translation, no AWS, no Google."""
    code = (
        "import sys; from sluicegate.providers.registry import build;"
        "from sluicegate.providers.context import ProviderContext;"
        "from sluicegate.settings.providers import Provider; build(ProviderContext('p', Provider(kind='anthropic'), {}));"
        "print([m for m in sys.modules if m.endswith(('messages_to_chat', 'botocore', 'cryptography', 'eventstream'))])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
