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

from mitmproxy import ctx
from mitmproxy.certs import CertStore
from mitmproxy.options import CONF_BASENAME, KEY_SIZE

from sluicegate.proxy import mitmproxy_internals as internals

__all__ = ["follow_ca", "make_ca"]

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


def follow_ca() -> bool:
    """Use the CA that the configuration folder holds, if another one was made; whether that was so.

    `mitmdump -s` has a CA before we are asked: if another process made one at the same moment, the files are of the last.
    """
    certificate = Path(ctx.options.confdir).expanduser() / f"{CONF_BASENAME}-ca.pem"
    try:
        if internals.ca_in_use().strip() in certificate.read_text("ascii", "replace"):
            return False
    except OSError:
        return False  # it was removed, or is being replaced
    internals.read_ca_again()
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
