"""`${NAME}` in texts, `SLUICEGATE__…` over the file, the state folder."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sluicegate.settings import ConfigError, Settings, load
from sluicegate.settings.reading.environment import default_state_dir

type Read = Callable[..., Settings]
type Refused = Callable[..., list[str]]


def test_references(read: Read) -> None:
    """A name is replaced, a default stands in for unset and empty, `$${` is a literal."""
    text = 'cache: {strip: {system: ["${A}", "${B:-b}", "${C:-c}", "x${A}y${A}", "$${A}", "${D:-}!", "cost$"]}}'
    assert read(text, A="a", C="").cache.strip.system == ("a", "b", "c", "xaya", "${A}", "!", "cost$")


def test_references_are_not_expanded_again(read: Read) -> None:
    """What comes out of the environment is never looked into for more references."""
    assert read('cache: {strip: {system: ["${A}"]}}', A="x${B}").cache.strip.system == ("x${B}",)


def test_references_take_the_type_of_their_key(read: Read) -> None:
    """A reference is a number where a number is wanted and text where text is wanted, quoted or not."""
    text = (
        'limits: {default: {rpm: "${N}"}}\nidentity: {keys: [{key: env:K, team: "${N}"}]}\n'
        "cache:\n  ttl: ${T}\n  coalesce: ${F}\n"
    )
    settings = read(text, N="12", T="5m", F="false")
    assert settings.limits.default.rpm == 12
    assert settings.identity.keys[0].team == "12"
    assert settings.cache.ttl == 300.0
    assert settings.cache.coalesce is False


def test_references_in_keys(read: Read, refused: Refused) -> None:
    """A key is text too; two keys that become one are refused."""
    assert set(read("limits: {teams: {'${T}': {rpm: 1}}}", T="blue").limits.teams) == {"blue"}
    (line,) = refused("limits:\n  teams:\n    blue: {}\n    '${T}': {}", T="blue")
    assert "another key has the same name" in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${NOPE}", "the environment variable NOPE is not set; ${NOPE:-…} gives a default"),
        ("${}", "expected ${NAME} or ${NAME:-default}"),
        ("${A", "expected ${NAME} or ${NAME:-default}"),
        ("${A-b}", "expected ${NAME} or ${NAME:-default}"),
        ("${A:-${B}}", "expected ${NAME} or ${NAME:-default}"),
    ],
)
def test_bad_references(refused: Refused, text: str, message: str) -> None:
    """A reference that cannot be followed is told with key and line."""
    (line,) = refused(f'providers:\n  a: {{kind: anthropic, base_url: "{text}"}}', A="a")
    assert line.startswith(f"gate.yaml:2: providers.a.base_url: {message}")


def test_values_of_references_are_not_quoted(refused: Refused) -> None:
    """A fault in an expanded value does not repeat the value: it may be a secret."""
    lines = refused('ping_s: ${K}\nscrub: {mode: "${K}"}\nstore: "${K}"\nscrub2: {}', K="hunter2")
    assert len(lines) == 4
    assert "hunter2" not in "".join(lines)


def test_overrides(read: Read) -> None:
    """A variable sets a single value over the file's, in any case, down to names with dashes and list entries."""
    text = "providers: {my-gate: {kind: anthropic}}\nroutes: [{model: a, targets: [{provider: my-gate}]}]\nping_s: 3"
    settings = read(
        text,
        SLUICEGATE__PING_S="7",
        SLUICEGATE__PROVIDERS__MY_GATE__BASE_URL="http://h:1",
        SLUICEGATE__ROUTES__0__MODEL="*",
        sluicegate__cache__mode="exact",
        SLUICEGATE__LIMITS="{default: {rpm: 5, burst: 2}}",
        SLUICEGATE__LIMITS__DEFAULT__RPM="6",
        SLUICEGATE__RETRY__STATUS="[500, 529]",
    )
    assert settings.ping_s == 7.0
    assert settings.providers["my-gate"].base_url == "http://h:1"
    assert settings.routes[0].model == "*"
    assert settings.cache.mode == "exact"
    assert (settings.limits.default.rpm, settings.limits.default.burst) == (6, 2)
    assert settings.retry.status == (500, 529)


def test_override_does_not_reach_other_aliases(read: Read) -> None:
    """An override below an alias changes that place only."""
    settings = read("limits: {teams: {a: &a {rpm: 1}, b: *a}}", SLUICEGATE__LIMITS__TEAMS__B__RPM="2")
    assert (settings.limits.teams["a"].rpm, settings.limits.teams["b"].rpm) == (1, 2)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SLUICEGATE__PING_S", "fast", "ping_s: expected a duration such as 30s, 5m or 7d, or 0"),
        ("SLUICEGATE__PINGS", "1", "pings: unknown key; did you mean ping_s?"),
        ("SLUICEGATE__CACHE", "{mode: exact", "cache: not valid YAML"),
        ("SLUICEGATE__CACHE__MODE", "", "cache.mode: the variable is empty"),
        ("SLUICEGATE__STORE__X", "1", "store.x: there are no keys below a single value"),
        ("SLUICEGATE__ROUTES__4__MODEL", "x", "routes.4.model: there is no entry 4"),
        ("SLUICEGATE__", "x", "expected SLUICEGATE__SECTION__KEY"),
    ],
)
def test_bad_overrides(refused: Refused, name: str, value: str, message: str) -> None:
    """A fault in an override names the variable in place of file and line."""
    (line,) = refused("store: sqlite\nroutes: []", **{name: value})
    assert line.startswith(f"{name}: {message}")


def test_override_does_not_echo_a_secret() -> None:
    """A secret given as an override is refused and not repeated."""
    with pytest.raises(ConfigError) as caught:
        load(None, {"SLUICEGATE__IDENTITY__ADMIN_TOKEN": "hunter2", "SLUICEGATE__SCRUB__MODE": "hunter2"})
    assert "hunter2" not in caught.value.report()


def test_state_dir(read: Read) -> None:
    """The file wins over SLUICEGATE_STATE_DIR, which wins over the platform's folder."""
    assert read("state_dir: /a", SLUICEGATE_STATE_DIR="/b").state_dir == Path("/a")
    assert read("", SLUICEGATE_STATE_DIR="/b").state_dir == Path("/b")
    assert read("", SLUICEGATE__STATE_DIR="/c", SLUICEGATE_STATE_DIR="/b").state_dir == Path("/c")


def test_platform_state_dir(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each platform's folder for a user's state; a relative XDG_STATE_HOME is ignored."""
    monkeypatch.setattr(sys, "platform", "linux")
    assert default_state_dir({"HOME": "/h"}) == Path("/h/.local/state/sluicegate")
    assert default_state_dir({"HOME": "/h", "XDG_STATE_HOME": "/x"}) == Path("/x/sluicegate")
    assert default_state_dir({"HOME": "/h", "XDG_STATE_HOME": "x"}) == Path("/h/.local/state/sluicegate")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_state_dir({"HOME": "/h"}) == Path("/h/Library/Application Support/sluicegate")
    monkeypatch.setattr(sys, "platform", "win32")
    assert default_state_dir({"HOME": "/h", "LOCALAPPDATA": "/l"}) == Path("/l/sluicegate")
