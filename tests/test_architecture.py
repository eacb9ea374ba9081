"""The documented architecture is the one of the code."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_the_drawing_is_made_from_the_imports() -> None:
    """docs/architecture.svg shows the packages and imports of today."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/draw-architecture", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_top_of_the_package_is_short() -> None:
    """At most 14 entries beside the dunder modules: one folder for each role."""
    entries = {
        p.stem
        for p in (ROOT / "addons/sluicegate").iterdir()
        if not p.name.startswith(("_", ".")) and p.suffix in ("", ".py")
    }
    assert len(entries) <= 14, sorted(entries)


@pytest.mark.parametrize("document", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_the_paths_that_the_documents_name_exist(document: str) -> None:
    """Below the package or the project; those that are yet to come are marked so."""
    text = (ROOT / document).read_text()
    lines = [line for line in text.splitlines() if "to come" not in line and "to be made" not in line]
    named = {path for line in lines for path in re.findall(r"`([a-z_]+(?:/[\w.-]+)+/?)`", line)}
    assert len(named) > 15
    missing = {path for path in named if not any((base / path).exists() for base in (ROOT, ROOT / "addons/sluicegate"))}
    assert missing <= ({"stores/ledger/"} if document == "CONTRIBUTING.md" else set())
