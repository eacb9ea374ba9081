"""Configurations that must load as they are."""

from pathlib import Path

import pytest

from sluicegate.settings import Settings, load

FOLDER = Path(__file__).parents[3] / "shared" / "acceptance"
CONFIG = Path(__file__).parents[2] / "config"
ENVIRON = {"UP_A": "http://127.0.0.1:4101", "UP_B": "http://127.0.0.1:4102", "STATE": "/tmp/state", "HOME": "/home/u"}

needs_files = pytest.mark.skipif(not FOLDER.is_dir(), reason="the acceptance files are not part of this checkout")


@needs_files
@pytest.mark.parametrize("name", ["cache", "failover", "limits", "plain", "providers", "scrub"])
def test_accepted_as_they_are(name: str) -> None:
    """Each file loads, with nothing in it renamed, and can be shown."""
    settings = load(FOLDER / f"{name}.yaml", ENVIRON)
    assert settings.state_dir == Path("/tmp/state")
    assert settings.audit.log == "file:/tmp/state/audit.jsonl"
    assert settings.effective()["state_dir"] == "/tmp/state"


@needs_files
def test_values_of_failover() -> None:
    """The numbers arrive where they belong."""
    settings = load(FOLDER / "failover.yaml", ENVIRON)
    assert [key.reference for key in settings.providers["first"].keys] == ["env:KEY_A1", "env:KEY_A2"]
    assert settings.providers["second"].base_url == "http://127.0.0.1:4102"
    assert settings.routes[1].targets[1].model == "claude-sonnet-4-5"
    assert settings.retry.attempts == 4
    assert settings.retry.backoff.start_s == 0.2
    assert settings.timeouts.first_byte_s == 3.0
    assert settings.timeouts_for("first").pool_s == 10.0
    assert settings.connections_for("first").max == 20


def test_shipped_config_is_the_default() -> None:
    """config/sluicegate.yaml adds the Anthropic provider to the defaults and changes nothing else."""
    shipped = load(CONFIG / "sluicegate.yaml", ENVIRON)
    default = load(None, ENVIRON)
    assert shipped.providers["anthropic"].kind == "anthropic"
    assert len(shipped.providers) == 1
    for field in Settings.__struct_fields__:
        if field != "providers":
            assert getattr(shipped, field) == getattr(default, field), field


def test_shipped_defaults_are_true(tmp_path: Path) -> None:
    """What config/sluicegate.yaml shows commented out as a default is the default, section by section."""
    sections: dict[str, list[str]] = {}
    current = ""
    for line in (CONFIG / "sluicegate.yaml").read_text(encoding="utf-8").splitlines():
        text = line.removeprefix("# ")
        if text == line or "e.g." in line.partition("#")[2].partition("  #")[0]:
            continue
        if text[:1].isalpha() and ":" in text.split(" ")[0]:
            current = text.split(":")[0]
            sections[current] = [text]
        elif text.startswith("  ") and current in sections:
            sections[current].append(text)
    for name in ("retry", "timeouts", "ping_s", "scrub", "cache", "translate", "audit", "store", "max_body", "max_upload"):
        file = tmp_path / "part.yaml"
        file.write_text("\n".join(sections[name]), encoding="utf-8")
        assert getattr(load(file, ENVIRON), name) == getattr(load(None, ENVIRON), name), name


def test_team_example_loads() -> None:
    """The richer example is a valid configuration."""
    settings = load(CONFIG / "team.example.yaml", ENVIRON)
    assert settings.limits.teams["web"].budget_usd.day == 20.0
    assert settings.providers["groq"].resolved_base_url == "https://api.groq.com/openai/v1"
    assert settings.timeouts_for("aws").first_byte_s == 120.0
