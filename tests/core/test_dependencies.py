"""Every import is declared, and what is not installed is said at the start."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from sluicegate.core.dependencies import OPTIONAL, REQUIRED, ZSTD, _command, adding
from sluicegate.core.errors import describe
from sluicegate.core.wire import zstd

ROOT = Path(__file__).resolve().parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OURS = {"sluicegate", "bench", "kits"}
TOOLS = {
    "grimp": "scripts/draw-architecture",
    "import-linter": "lint",
    "mypy": "lint",
    "pytest-asyncio": "a plugin",
    "pytest-xdist": "a plugin",
    "ruff": "lint",
    "types-pyyaml": "types",
}
"""Development tools that no file imports."""


def _name(requirement: str) -> str:
    return re.split(r"[<>=;\[ ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _declared(*lists: Iterable[str]) -> set[str]:
    return {_name(r) for requirements in lists for r in requirements}


def _imports(*folders: str) -> dict[str, str]:
    """Distribution → one place that imports it."""
    distributions = {module: names[0] for module, names in packages_distributions().items()}
    found: dict[str, str] = {}
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for module, line in _modules(path):
                if module not in sys.stdlib_module_names and module not in OURS:
                    name = distributions.get(module, module).lower().replace("_", "-")
                    found[name] = f"{path.relative_to(ROOT)}:{line}"
    return found


def _modules(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0], node.lineno


REQUIREMENTS = PROJECT["project"]["dependencies"]
EXTRAS = PROJECT["project"]["optional-dependencies"]
DEV = PROJECT["dependency-groups"]["dev"]


def test_every_import_of_the_package_is_declared() -> None:
    """What comes only with something else is missing as soon as that needs it no more."""
    declared = _declared(REQUIREMENTS, *EXTRAS.values())
    undeclared = {name: where for name, where in _imports("addons").items() if name not in declared}
    assert not undeclared


def test_every_requirement_and_extra_is_imported() -> None:
    """An extra that nothing uses costs its users megabytes."""
    imported = {*_imports("addons"), _name(ZSTD)}
    assert _declared(REQUIREMENTS, *EXTRAS.values()) <= imported


def test_every_import_of_the_tests_is_declared() -> None:
    """As a requirement, or in the group dev."""
    declared = _declared(REQUIREMENTS, DEV)
    undeclared = {name: where for name, where in _imports("tests", "bench", "scripts").items() if name not in declared}
    assert not undeclared
    unused = _declared(DEV) - set(TOOLS) - set(_imports("addons", "tests", "bench"))
    assert not unused


def test_what_is_looked_for_at_the_start_is_what_is_declared() -> None:
    """With the same bounds."""
    assert {r.partition(";")[0] for r in REQUIREMENTS} == {*REQUIRED.values(), ZSTD}
    assert {r for extra in EXTRAS.values() for r in extra} == set(OPTIONAL.values())


def test_the_lowest_versions_are_those_that_are_tested() -> None:
    """constraints-lowest.txt pins each requirement and extra to its lower bound: 25 to a version of it, as 25.1.0."""
    lines = (ROOT / "constraints-lowest.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    bounds = {
        re.split(r"[>\[]", r)[0]: re.split(r">=([\d.]+)", r)[1] for r in (*REQUIRED.values(), *OPTIONAL.values(), ZSTD)
    }
    assert pins.keys() == bounds.keys()
    assert not {name: pin for name, pin in pins.items() if f"{pin}.".find(f"{bounds[name]}.") != 0}


@pytest.mark.parametrize(
    ("prefix", "pip", "command"),
    [
        ("/home/a/venv", True, "/p/python -m pip install 'redis>=5'"),
        ("/home/a/venv", False, "uv pip install --python /p/python 'redis>=5'"),
        ("/home/a/.local/share/pipx/venvs/mitmproxy", True, "pipx inject mitmproxy 'redis>=5'"),
        ("/home/a/.local/share/uv/tools/mitmproxy", False, "uv tool install --with 'redis>=5' mitmproxy"),
    ],
)
def test_the_command_is_the_one_of_the_environment(prefix: str, pip: bool, command: str) -> None:
    """pip's does nothing for an environment of pipx or uv."""
    assert _command(["redis>=5"], Path(prefix), Path("/p/python"), pip=pip) == command


def test_a_standalone_binary_takes_no_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, instead of a command that changes nothing."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert "standalone binaries take no packages" in adding("redis>=5")


def _run_without(*modules: str) -> subprocess.CompletedProcess[str]:
    """The command, where these modules are not installed."""
    block = "; ".join(f"sys.modules[{m!r}] = None" for m in modules)
    code = f"import sys; {block}; from sluicegate.__main__ import main; sys.argv = ['sluicegate', '--version']; main()"
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT / "addons"), "PATH": "/usr/bin:/bin"},
    )


@pytest.mark.parametrize(
    ("modules", "named"),
    [
        (["typer"], "typer>="),
        (["genai_prices"], "genai-prices>="),
        (["re2", "yaml"], "google-re2>="),
        (["compression.zstd", "backports.zstd", "zstandard"], "backports.zstd>="),
    ],
)
def test_what_is_not_installed_is_said_in_one_line(modules: list[str], named: str) -> None:
    """With the command that adds it; no traceback."""
    done = _run_without(*modules)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("sluicegate: not installed: ")
    assert named in line
    assert " -m pip install " in line


def test_any_one_library_for_zstd_is_enough() -> None:
    """Beside mitmproxy 12.2 it is another than beside 12.3."""
    others = [name for name in zstd.LIBRARIES if name != zstd._library()[0]]
    assert _run_without(*others).returncode == 0


def test_an_alarm_names_the_module_that_is_missing() -> None:
    """Its name is no content of a body."""
    with pytest.raises(ImportError) as caught:
        import sluicegate.no_such_module  # type: ignore[import-not-found]  # noqa: F401
    assert describe(caught.value).startswith("ModuleNotFoundError (sluicegate.no_such_module) at ")
