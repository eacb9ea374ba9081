"""What this version cannot do is refused, never silently ignored."""

from pathlib import Path

import pytest

from sluicegate.settings import ConfigError, Settings, load_with_origins, refuse_unavailable


def faults(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "gate.yaml"
    file.write_text(text, encoding="utf-8")
    settings, origins = load_with_origins(file, {"HOME": "/home/u"})
    try:
        refuse_unavailable(settings, origins)
    except ConfigError as error:
        return [line.removeprefix(f"{tmp_path}/") for line in error.report().splitlines()]
    return []


def test_the_message(tmp_path: Path) -> None:
    """The refusal names key, line, value and the way out."""
    assert faults(tmp_path, "scrub:\n  mode: pseudonymize") == [
        'gate.yaml:2: scrub.mode: "pseudonymize" needs the scrubber, which this version does not have; set it to off'
    ]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("identity: {mode: keys}", "identity.mode"),
        ("identity: {keys: [{key: env:K}]}", "identity.keys"),
        ("limits: {default: {rpm: 1}}", "limits.default"),
        ("limits: {users: {a: {rpm: 1}}}", "limits.users.a"),
        ("limits: {queue_s: 5s}", "limits.queue_s"),
        ("providers: {a: {kind: openai}}", "providers.a.kind"),
        ("providers: {a: {provider: groq}}", "providers.a.provider"),
        ("audit: {ledger: 'postgresql://u:hunter2@h/d'}", "audit.ledger"),
    ],
)
def test_refused(tmp_path: Path, text: str, path: str) -> None:
    """Each missing feature is refused at the key that asks for it, passwords not repeated."""
    (line,) = faults(tmp_path, text)
    assert line.startswith(f"gate.yaml:1: {path}: ")
    assert "which this version does not have" in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    "text",
    [
        "",
        "retry: {attempts: 5}\nping_s: 0\nconnections: {max: 3, keepalive: 1}\ntimeouts: {idle_s: 1}",
        "identity: {admin_token: env:T}",
        "cache: {mode: suffix, prompt_cache: {inject: auto}}\nstore: 'redis://h'",
        "providers: {a: {kind: anthropic, keys: [env:A, env:B]}, b: {kind: anthropic}, o: {provider: ollama}}\n"
        "routes: [{model: '*', targets: [{provider: a}, {provider: b, model: m}]}]",
    ],
)
def test_accepted(tmp_path: Path, text: str) -> None:
    """Routing, repeating, the admin token and the caches are there."""
    assert faults(tmp_path, text) == []


def test_defaults_ask_for_nothing() -> None:
    """The gate without a configuration needs no missing feature."""
    refuse_unavailable(Settings())
