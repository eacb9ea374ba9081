"""The CA is made once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kits.gatekit import ROOT, clean_env
from sluicegate.gate.ca import make_ca

PROGRAM = """
import sys
from pathlib import Path
from sluicegate.gate.ca import make_ca
sys.stdin.readline()
make_ca(Path(sys.argv[1]))
from mitmproxy.certs import CertStore
store = CertStore.from_store(Path(sys.argv[1]), "mitmproxy", 2048)
print(store.default_ca.serial)
"""


def test_processes_that_start_at_one_moment_use_one_ca(tmp_path: Path) -> None:
    """Each loads the same CA, and the certificate that clients are given is that CA's."""
    folder = tmp_path / "certs"
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)],
            env=clean_env({"PYTHONPATH": str(ROOT / "addons")}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in starting:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    serials = {process.communicate(timeout=60)[0].strip() for process in starting}
    assert [process.returncode for process in starting] == [0] * 4
    assert len(serials) == 1
    certificate = (folder / "mitmproxy-ca-cert.pem").read_text()
    assert certificate.strip() in (folder / "mitmproxy-ca.pem").read_text()


def test_the_key_is_for_its_owner_and_nothing_else_is_left(tmp_path: Path) -> None:
    """The files are mitmproxy's own; no draft stays behind; a second call changes nothing."""
    folder = tmp_path / "certs"
    assert make_ca(folder)
    key = folder / "mitmproxy-ca.pem"
    before = key.read_bytes()
    assert key.stat().st_mode & 0o077 == 0
    assert {f.name for f in folder.iterdir() if f.is_dir()} == set()
    assert {"mitmproxy-ca-cert.pem", "mitmproxy-ca-cert.cer", "mitmproxy-dhparam.pem"} <= {f.name for f in folder.iterdir()}
    assert not make_ca(folder)
    assert key.read_bytes() == before


def test_a_start_that_was_interrupted_is_made_up_for(tmp_path: Path) -> None:
    """Certificates without the key are replaced, as the key of a CA is written last."""
    make_ca(tmp_path)
    (tmp_path / "mitmproxy-ca.pem").unlink()
    assert make_ca(tmp_path)
    assert (tmp_path / "mitmproxy-ca-cert.pem").read_text().strip() in (tmp_path / "mitmproxy-ca.pem").read_text()
