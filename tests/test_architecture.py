"""The documented architecture is the one of the code."""

import subprocess
import sys
from pathlib import Path

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
