"""Whether a program's Node reads HTTPS_PROXY."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.cli.proxy_support import node_without_proxy


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `node` on PATH that says the version in the file `version` beside it."""
    program = tmp_path / "node"
    program.write_text(f'#!/bin/sh\ncat "{tmp_path}/version"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return program


@pytest.mark.parametrize(
    ("version", "ignores"),
    [
        ("v18.19.1", "18.19"),
        ("v20.20.2", "20.20"),
        ("v22.20.0", "22.20"),
        ("v23.11.0", "23.11"),
        ("v22.21.0", None),
        ("v24.0.0", None),
        ("v26.1.0", None),
        ("no version", None),
    ],
)
def test_node_is_asked_for_its_version(version: str, ignores: str | None, node: Path) -> None:
    """22.21 and 24.0 are the first of their lines that know NODE_USE_ENV_PROXY."""
    (node.parent / "version").write_text(version)
    assert node_without_proxy(str(node)) == ignores


@pytest.mark.parametrize("first_line", ["#!/usr/bin/env node", "#!/usr/bin/env -S node --no-warnings", "#! {node}"])
def test_a_script_of_node_runs_in_that_node(first_line: str, node: Path, tmp_path: Path) -> None:
    """By its first line, as the system finds its interpreter."""
    (tmp_path / "version").write_text("v20.1.0")
    script = tmp_path / "agent"
    script.write_text(first_line.format(node=node) + "\n")
    assert node_without_proxy(str(script)) == "20.1"


@pytest.mark.parametrize("name", ["claude", "codex"])
def test_agents_that_read_the_variable_themselves_are_not_warned_of(name: str, node: Path, tmp_path: Path) -> None:
    """Claude Code and Codex bring a proxy client of their own."""
    (tmp_path / "version").write_text("v20.1.0")
    script = tmp_path / name
    script.write_text("#!/usr/bin/env node\n")
    assert node_without_proxy(str(script)) is None


def test_other_programs_are_left_alone(tmp_path: Path, node: Path) -> None:
    """A shell script, a binary, a folder, nothing."""
    (tmp_path / "version").write_text("v20.1.0")
    (tmp_path / "script").write_text("#!/bin/sh\nnode\n")
    (tmp_path / "binary").write_bytes(b"\x7fELF node")
    for name in ("script", "binary", ".", "missing"):
        assert node_without_proxy(str(tmp_path / name)) is None
