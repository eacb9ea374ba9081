"""`make bench` as a process: it measures, prints and writes; no time is asserted, they belong to the machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.proxies import CONTENDERS
from bench.workloads import WORKLOADS
from kits.gatekit import clean_env

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]


def test_a_quick_round_measures_every_proxy_under_every_workload(tmp_path: Path) -> None:
    """One sample each, with and without a proxy; the table in 100 columns; nothing left behind."""
    file = tmp_path / "numbers.json"
    command = [sys.executable, "-m", "bench", "--quick", "--rounds", "1", "--json", str(file)]
    (tmp_path / "tmp").mkdir()
    environment = clean_env({"TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": str(ROOT / "addons")})
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "mitmproxy" in lines[0]
    assert max(map(len, lines)) <= 100
    samples = json.loads(file.read_text())["samples"]
    proxies = ["(no proxy)", *(c.name for c in CONTENDERS)]
    assert [(s["workload"], s["proxy"]) for s in samples] == [(w.name, p) for w in WORKLOADS for p in proxies]
    assert all(s["cpu_ms"] > 0 and s["rss_mb"] > 0 for s in samples if s["proxy"] != proxies[0])
    assert not list((tmp_path / "tmp").iterdir())
