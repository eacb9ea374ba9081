"""From a file to Settings, and the exact words of what is refused."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sluicegate.settings import ConfigError, Settings, load

type Refused = Callable[..., list[str]]


def test_nothing_configured() -> None:
    """No file and an empty environment give the defaults: everything passes, nothing is changed."""
    settings = load(None, {"HOME": "/home/u"})
    assert msgspec.structs.replace(Settings(), state_dir=settings.state_dir) == settings
    assert (settings.identity.mode, settings.scrub.mode, settings.cache.mode) == ("open", "off", "off")
    assert settings.cache.prompt_cache.inject == "off"


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "limits:\nscrub:\n  # mode: detect\n"])
def test_empty_is_fine(read: Callable[..., Settings], text: str) -> None:
    """An empty file, and a section whose keys are all commented out, give the defaults."""
    assert read(text) == load(None, {"HOME": "/home/u"})


def test_off_is_a_word(read: Callable[..., Settings]) -> None:
    """YAML 1.2: only true and false are booleans."""
    settings = read("scrub: {mode: off}\nidentity: {keys: [{key: env:K, team: no, user: yes}]}")
    assert settings.scrub.mode == "off"
    assert (settings.identity.keys[0].team, settings.identity.keys[0].user) == ("no", "yes")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "limits:\n  teams:\n    a:\n      rpm: many",
            'gate.yaml:4: limits.teams.a.rpm: expected a number ≥ 1, got "many"',
        ),
        ("limits: {default: {rpm: true}}", "gate.yaml:1: limits.default.rpm: expected a number ≥ 1, got true"),
        ("limits: {default: {rpm: 0}}", "gate.yaml:1: limits.default.rpm: expected a number ≥ 1, got 0"),
        ("limits: {default: {tpm: 1.5}}", "gate.yaml:1: limits.default.tpm: expected a whole number ≥ 1, got 1.5"),
        ("limits: {default: {rpm: 1" + "0" * 30 + "}}", "limits.default.rpm: expected a number ≥ 1, got 1" + "0" * 30),
        (
            "limits: {teams: {a.b: {budget_usd: {day: .inf}}}}",
            'limits.teams["a.b"].budget_usd.day: expected an amount of US dollars above 0, got ".inf"',
        ),
        ("\nroutes: []\nroute: []", "gate.yaml:3: route: unknown key; did you mean routes?"),
        (
            "providers:\n  a: {kind: anthropic}\nroutes:\n  - {model: x, targets: [{provider: b}]}",
            'gate.yaml:4: routes[0].targets[0].provider: no provider "b"; configured: a',
        ),
        ("routes:\n  - model: x", "gate.yaml:2: routes[0].targets: this key is required"),
        (
            "routes: [{model: x, targets: []}]",
            "routes[0].targets: expected at least one entry; leave the key out for none",
        ),
        (
            "providers: {a: {kind: anthropic, keys: []}}",
            "providers.a.keys: expected at least one entry; leave the key out for none",
        ),
        ("scrub: {mode: false}", "scrub.mode: expected block, detect, off or pseudonymize, got false"),
        ("scrub: {mode: }", "scrub.mode: expected block, detect, off or pseudonymize, got nothing"),
        ("scrub: {max_body: 32 megs}", "scrub.max_body: expected a size such as 32MB, 64KiB or a number of bytes"),
        ("timeouts: {idle_s: -1}", "timeouts.idle_s: expected a duration above 0 such as 30s, 5m or 7d, got -1"),
        ("timeouts: {idle_s: 1e999}", "timeouts.idle_s: expected a duration above 0"),
        ("audit: {strict: off}", 'audit.strict: expected true or false, got "off"'),
        ("audit: [1]", "audit: expected a mapping, got a list"),
        ("providers: {a: {kind: vertex, project: p}}", "providers.a.location: kind vertex needs it"),
        ("store: mysql://u:hunter2@h/d", "store: expected sqlite, sqlite:///PATH, redis://HOST… or memory, got something"),
        (
            "identity: {keys: [{key: env:A, tags: {n: 4711}}]}",
            "identity.keys[0].tags.n: expected text, got a number: put it in quotes",
        ),
        ("providers: {'a b': {kind: anthropic}}", 'providers["a b"]: expected a name of letters'),
        ("- a", "gate.yaml:1: expected a mapping of sections at the top"),
    ],
)
def test_messages(refused: Refused, text: str, message: str) -> None:
    """A fault is told with file, line, key, what was expected and what is there."""
    lines = refused(text)
    assert len(lines) == 1
    assert message in lines[0]
    assert lines[0].startswith("gate.yaml:")


def test_all_faults_at_once(refused: Refused) -> None:
    """One reading reports every fault, in the order of the file."""
    lines = refused("ping_s: x\ncache:\n  mode: on\n  ttll: 5m\nmax_body: ${NOPE}\n")
    assert [line.split(": ")[:2] for line in lines] == [
        ["gate.yaml:1", "ping_s"],
        ["gate.yaml:3", "cache.mode"],
        ["gate.yaml:4", "cache.ttll"],
        ["gate.yaml:5", "max_body"],
    ]


def test_error_has_parts(read: Callable[..., Settings]) -> None:
    """A fault's key, file and line can be read without parsing its text."""
    with pytest.raises(ConfigError) as caught:
        read("a: 1\nb: 2")
    error = caught.value
    assert (error.path, error.file, error.line, len(error.also)) == ("a", "gate.yaml", 1, 1)


def test_unreadable_files(tmp_path: Path) -> None:
    """A file that is missing, a folder, too large or not UTF-8 is a ConfigError that names it."""
    (tmp_path / "large.yaml").write_bytes(b"#" * 1_000_001)
    (tmp_path / "latin.yaml").write_bytes(b"# fine\na: \xe9")
    for name, message in {
        "none.yaml": "none.yaml: cannot be read: No such file or directory",
        ".": "cannot be read: Is a directory",
        "large.yaml": "large.yaml: larger than 1000000 bytes",
        "latin.yaml": "latin.yaml:2: not UTF-8 text",
    }.items():
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / name, {})
        assert str(caught.value).endswith(message)


def test_settings_do_not_change(read: Callable[..., Settings]) -> None:
    """Settings in force cannot be assigned to."""
    settings = read("ping_s: 5")
    with pytest.raises(AttributeError):
        settings.ping_s = 6  # type: ignore[misc]


def test_import_is_light() -> None:
    """Importing the settings brings in no proxy, no asyncio and no pricing library."""
    heavy = "{'mitmproxy', 'asyncio', 'genai_prices', 'pydantic'}"
    script = f"import sys, sluicegate.settings; print(sorted({heavy} & set(sys.modules)))"
    folder = Path(__file__).parents[3] / "addons"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=folder, check=True)
    assert done.stdout.strip() == "[]"
