"""The CA of the regular door, made once: of two gates that start at one moment for the first time, both use the same.

mitmproxy makes a CA when it finds none; two processes then make two, and clients that read one do not trust the other.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mitmproxy.certs import CertStore
from mitmproxy.options import CONF_BASENAME, KEY_SIZE

__all__ = ["make_ca"]

_LOCK: Final = ".lock"


def make_ca(folder: Path) -> bool:
    """Make mitmproxy's CA files in `folder` if there is no CA; whether it made them. Raises OSError.

    The file with the key is moved into place last: a start that was interrupted leaves none, and is made up for.
    """
    key = folder / f"{CONF_BASENAME}-ca.pem"
    if key.exists():
        return False
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(folder / _LOCK):
        if key.exists():
            return False
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
        try:
            CertStore.create_store(draft, CONF_BASENAME, KEY_SIZE)
            for file in sorted(draft.iterdir(), key=lambda f: f.name == key.name):
                file.replace(folder / file.name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return True


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Held by one process at a time; the system frees it when its process ends. Windows has no such lock."""
    if os.name == "nt":
        yield
        return
    import fcntl

    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
