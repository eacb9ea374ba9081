"""`make bench-cache` as a process; its times belong to the machine, what it counts does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from kits.gatekit import clean_env

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]


def test_with_the_cache_on_nothing_is_called_and_nothing_is_paid(tmp_path: Path) -> None:
    """A row for bare mitmdump, the gate without and with the cache, under each workload; in 100 columns."""
    command = [sys.executable, "-m", "bench.cache", "--rounds", "1", "--count", "4"]
    environment = clean_env({"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT / "addons")})
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    table = done.stdout.split("\n\n")[0].splitlines()
    assert max(map(len, table)) <= 100
    on, off = ([line.split()[2:5] for line in table if line.startswith(f"  cache {mode}")] for mode in ("on", "off"))
    assert on == [["0", "0", "0.0000"]] * 3
    assert all(int(calls) >= 6 and float(dollars) > 0 for calls, _, dollars in off)
