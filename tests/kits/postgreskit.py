"""A real PostgreSQL for tests: on a free port, in a folder of its own, as a user that is not root; gone afterwards."""

import getpass
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import pytest

from kits.gatekit import ProcessFailed, free_port, wait_until

PASSWORD = "pg-test-password"


def binaries() -> Path | None:
    """The folder of the newest PostgreSQL's programs; Debian keeps them off the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: -float(p.parent.name))
    on_path = shutil.which("initdb")
    places = [*debian, *([Path(on_path).parent] if on_path else [])]
    return next((p for p in places if (p / "initdb").exists() and (p / "postgres").exists()), None)


class Postgres:
    """`with Postgres() as pg: pg.url`. Skips the test where there is no PostgreSQL; fails it under CI."""

    def __init__(self) -> None:
        self.url = ""
        self._folder = Path()
        self._server: subprocess.Popen[bytes] | None = None
        self._user: str | None = None

    def __enter__(self) -> Self:
        programs = binaries()
        if programs is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)("no PostgreSQL here (apt-get install postgresql)")
        self._folder = Path(tempfile.mkdtemp(prefix="sluicegate-pg-"))
        if os.getuid() == 0:  # the server refuses to run as root
            self._user = next(u.pw_name for u in pwd.getpwall() if u.pw_name in ("postgres", "nobody"))
            shutil.chown(self._folder, self._user)
        try:
            self._start(programs)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self, programs: Path) -> None:
        password, data = self._folder / "password", self._folder / "data"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        init = [str(programs / "initdb"), "-D", str(data), "-U", "gate", "-A", "scram-sha-256", "--no-sync"]
        done = subprocess.run(
            [*init, "--pwfile", str(password), "-E", "UTF8", "--locale", "C"],
            user=self._user,
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ProcessFailed(f"initdb as {self._user or getpass.getuser()}: {done.stderr[-2000:]}")
        port = free_port()
        self.url = f"postgresql://gate:{PASSWORD}@127.0.0.1:{port}/postgres"
        server = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-k", str(self._folder)]
        with (self._folder / "log").open("wb") as log:
            self._server = subprocess.Popen(
                [*server, "-h", "127.0.0.1", "-c", "fsync=off", "-c", "max_connections=30"],
                user=self._user,
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, "PostgreSQL answers", 30)

    def _answers(self) -> bool:
        import psycopg

        assert self._server
        if self._server.poll() is not None:
            raise ProcessFailed((self._folder / "log").read_text(errors="replace")[-2000:])
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def empty(self) -> None:
        """As new, for the next test."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as db:
            db.execute("DROP TABLE IF EXISTS sluicegate_keys, sluicegate_meta")

    def stop(self) -> None:
        if self._server:
            self._server.send_signal(signal.SIGINT)  # fast: does not wait for clients to leave
            self._server.wait(20)
            self._server = None

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
