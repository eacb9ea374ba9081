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
    assert faults(tmp_path, "cache:\n  mode: exact") == [
        'gate.yaml:2: cache.mode: "exact" needs the cache, which this version does not have; set it to off'
    ]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("cache: {mode: exact}", "cache.mode"),
        ("cache: {prompt_cache: {inject: auto}}", "cache.prompt_cache.inject"),
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
        "limits: {default: {rpm: 1}, users: {a: {budget_usd: {day: 1}}}, queue_s: 5s}",
        "store: 'redis://:hunter2@h'",
        "identity: {mode: keys, keys: [{key: env:K}], trusted_header: {name: x-user, peers: [10.0.0.1]}}",
        "identity: {mode: passthrough}",
        "audit: {ledger: 'postgresql://u:hunter2@h/d'}",
        "providers: {a: {kind: openai}, b: {provider: groq}}",
        "scrub: {mode: pseudonymize, rules: [basic, gitleaks, pii], numbering: hmac}",
        "providers: {a: {kind: anthropic, keys: [env:A, env:B]}, b: {kind: anthropic}, o: {provider: ollama}}\n"
        "routes: [{model: '*', targets: [{provider: a}, {provider: b, model: m}]}]",
    ],
)
def test_accepted(tmp_path: Path, text: str) -> None:
    """What is there is not refused."""
    assert faults(tmp_path, text) == []


def test_defaults_ask_for_nothing() -> None:
    """The gate without a configuration needs no missing feature."""
    refuse_unavailable(Settings())
