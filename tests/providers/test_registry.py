"""Kinds of providers by name, those of other packages too."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from sluicegate.providers import registry
from sluicegate.providers.registry import build, third_parties
from sluicegate.providers.setup import Setup
from sluicegate.settings.providers import Provider as Settings


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("anthropic", {}),
        ("bedrock", {"region": "us-west-2"}),
        ("vertex", {"project": "p", "location": "l"}),
        ("openai", {}),
        ("copilot", {"consent": True}),
    ],
)
def test_every_kind_that_can_be_configured_is_there(kind, more) -> None:
    """With what the protocol asks of it."""
    p = build(Setup("p", Settings(kind=kind, **more), {}))
    assert (p.kind, p.name) == (kind, "p")
    assert p.origin().tls
    assert p.hosts
    assert isinstance(p.pings, bool)


class Theirs:
    kind = "x-acme"

    def __init__(self, setup: Setup) -> None:
        self.name = setup.name


def test_other_packages_bring_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """By an entry point of the kind's name; our own can not be replaced."""
    points = [EntryPoint(n, f"{__name__}:Theirs", registry.GROUP) for n in ("x-acme", "anthropic")]

    def entry_points(group: str, name: str | None = None) -> list[EntryPoint]:
        return [p for p in points if name in (None, p.name)]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    monkeypatch.setattr(EntryPoint, "load", lambda self: Theirs)
    assert third_parties() == ("x-acme",)
    assert isinstance(build(Setup("p", Settings(kind="x-acme"), {})), Theirs)
    assert build(Setup("p", Settings(kind="anthropic"), {})).kind == "anthropic"


def test_an_unknown_kind_is_told() -> None:
    """With the path, and what there is."""
    with pytest.raises(ValueError, match=r"providers\.p\.kind.*'x-none'.*anthropic, bedrock"):
        build(Setup("p", Settings(kind="x-none"), {}))


def test_anthropic_alone_loads_no_other() -> None:
    """What is not configured takes no memory: no translation, no AWS, no Google."""
    code = (
        "import sys; from sluicegate.providers.registry import build; from sluicegate.providers.setup import Setup;"
        "from sluicegate.settings.providers import Provider; build(Setup('p', Provider(kind='anthropic'), {}));"
        "print([m for m in sys.modules if m.endswith(('messages_to_chat', 'botocore', 'cryptography', 'eventstream'))])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
