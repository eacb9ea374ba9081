"""Presence: whether other processes use a file."""

import subprocess
import sys
from pathlib import Path

from kits.gatekit import ROOT, clean_env
from sluicegate.stores.limits.presence import Presence

OTHER = """
import sys
from pathlib import Path
from sluicegate.stores.limits.presence import Presence
here = Presence(Path(sys.argv[1]))
print(here.is_alone(), flush=True)
sys.stdin.read()
"""


def test_alone_until_another_process_comes_and_after_it_was_killed(tmp_path: Path) -> None:
    """Both see each other, whichever came first; a process that was killed is no longer seen."""
    file = tmp_path / "limits.sqlite"
    here = Presence(file)
    assert here.is_alone()
    assert here.is_alone()
    command = [sys.executable, "-c", OTHER, str(file)]
    env = clean_env({"PYTHONPATH": str(ROOT / "addons")})
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "False\n"
        assert not here.is_alone()
        other.kill()
        other.wait()
    assert here.is_alone()
    here.close()
    assert (tmp_path / "limits.sqlite-users").stat().st_mode & 0o777 == 0o600


def test_two_in_one_process_are_not_alone(tmp_path: Path) -> None:
    """The system's locks belong to a process; a second user in it is seen all the same."""
    first, second = Presence(tmp_path / "a"), Presence(tmp_path / "a")
    assert not first.is_alone()
    assert not second.is_alone()
    second.close()
    assert first.is_alone()
    first.close()
