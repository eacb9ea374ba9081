"""The certificates that a client behind the gate trusts: the gate's CA, the public roots, and those it trusted before."""

from __future__ import annotations

import hashlib
import os
import re
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import certifi

__all__ = ["REPLACING", "ca_variables"]

REPLACING: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE")
"""Variables whose file stands in place of a client's own roots."""
ADDING: Final = "NODE_EXTRA_CA_CERTS"
"""Node's variable, whose file is trusted besides its roots."""

_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SYSTEM: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def ca_variables(ca: Path, folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that make clients trust the gate's CA, and as before the public roots and a company's CA.

    Hosts that the gate does not decrypt are tunnelled, so a client needs the public roots as well. All variables name one
    bundle, which is written to `folder`; Node, which keeps its roots, gets the CA alone if there is nothing else to add.
    Raises OSError.
    """
    given = {name: Path(environ[name]).expanduser() for name in (*REPLACING, ADDING) if environ.get(name)}
    roots = given.get("SSL_CERT_FILE", _system_roots())
    sources = [ca, *([roots] if roots else []), *given.values()]
    if "SSL_CERT_FILE" not in given or not given["SSL_CERT_FILE"].exists():
        sources.append(Path(certifi.where()))
    bundle = _write(folder, _certificates(sources))
    others = [path for name, path in given.items() if path.exists() and not _is_same(path, ca)]
    return {**dict.fromkeys(REPLACING, str(bundle)), ADDING: str(bundle if others else ca)}


def _certificates(files: Iterable[Path]) -> str:
    """Every certificate of these files once; files that do not exist are left out, as clients leave them out."""
    found: dict[str, None] = {}
    for file in files:
        if file.is_file():
            found.update(dict.fromkeys(_CERTIFICATE.findall(file.read_text("utf-8", "replace").replace("\r\n", "\n"))))
    return "\n".join(found) + "\n"


def _system_roots() -> Path | None:
    """The file of this machine's trusted roots, where a company's CA is often installed."""
    default = ssl.get_default_verify_paths().openssl_cafile
    return next((Path(file) for file in (default, *_SYSTEM) if Path(file).is_file()), None)


def _write(folder: Path, text: str) -> Path:
    """Named by its content: a client that runs already reads the file when it likes."""
    path = folder / f"ca-bundle-{hashlib.sha256(text.encode()).hexdigest()[:12]}.pem"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(text)
        temporary.replace(path)
    return path


def _is_same(file: Path, other: Path) -> bool:
    return file.exists() and other.exists() and file.samefile(other)
