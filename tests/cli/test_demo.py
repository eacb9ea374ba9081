"""The demo, run for real as a process: what it shows, that it ends well, and that nothing of it stays behind."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kits.gatekit import Process, clean_env, wait_until
from sluicegate.cli.demo import SCENES

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "sluicegate", "demo"]


def environment(tmp_path: Path) -> dict[str, str]:
    plain = {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb", "TMPDIR": str(tmp_path), "FORCE_COLOR": None}
    return clean_env({**plain, "PYTHONPATH": str(ROOT / "addons"), "PYTHONUNBUFFERED": "1"})


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, env=environment(tmp_path), check=False
    )


class Demo(Process):
    """`sluicegate demo --keep`, up and running."""

    def command(self) -> list[str]:
        return [*COMMAND, "--keep"]

    def environment(self) -> dict[str, str]:
        return environment(self.workdir)

    def answers(self) -> bool:
        return "until Ctrl-C" in self.output()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Demo]:
    with Demo("demo", tmp_path) as demo:
        yield demo


def test_the_demo_plays_every_scene_and_ends_well(tmp_path: Path) -> None:
    """One line a call in the order of the table, a total that counts each, 80 plain columns, and an empty temp folder."""
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.stdout
    played = [line for line in lines if re.search(r" \d{3} .* ms$", line)]
    assert [line[:32].rstrip() for line in played] == [scene.title for scene in SCENES]
    assert [int(line[32:39]) for line in played] == [scene.status for scene in SCENES]
    assert re.search(rf"^ *all +{len(SCENES)} +\d+ +\d+ +\$0\.00\d+ *$", done.stdout, re.MULTILINE)
    assert "9 ok, 2 upstream_error" in done.stdout
    assert f"{len(SCENES)} records" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_told_with_the_way_out(tmp_path: Path) -> None:
    """Before anything is started."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        done = run(tmp_path, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "in use; choose another with --port" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_a_kept_demo_answers_until_it_is_told_to_go(kept: Demo, number: signal.Signals, code: int) -> None:
    """Gate and simulator stay up, and both are gone, with their folder, after Ctrl-C or a SIGTERM."""
    gate, simulator = (_url(kept, name) for name in ("the gate", "the provider"))
    assert _answers(f"{gate}/health")
    assert _answers(f"{simulator}/_sim/stats")
    kept.child.send_signal(number)
    assert kept.child.wait(15) == code
    kept.kill()  # it has ended as it should: nothing to stop
    wait_until(lambda: not _answers(f"{gate}/health"), "the gate gone")
    wait_until(lambda: not _answers(f"{simulator}/_sim/stats"), "the simulator gone")
    assert not list(kept.workdir.glob("sluicegate-demo-*"))


def _url(demo: Demo, name: str) -> str:
    found = re.search(rf"{name} +(http://\S+)", demo.output())
    assert found
    return found[1]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
