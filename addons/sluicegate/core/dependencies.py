"""What Sluicegate needs beside the standard library: whether it is there, and the command that adds it.

Imports nothing but the standard library, so that it can speak where all else is missing: `mitmdump -s addons/gate.py` runs
with whatever is installed beside mitmproxy.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from sluicegate.core.wire.zstd import LIBRARIES

__all__ = ["OPTIONAL", "REQUIRED", "adding", "missing", "require"]

REQUIRED: Final[Mapping[str, str]] = {
    "mitmproxy": "mitmproxy>=12.2.3,<13",
    "brotli": "brotli>=1.2",
    "certifi": "certifi>=2025.1",
    "cryptography": "cryptography>=44.0.1",
    "genai_prices": "genai-prices>=0.2.3",
    "h11": "h11>=0.16",
    "h2": "h2>=4.3",
    "msgspec": "msgspec>=0.22",
    "prometheus_client": "prometheus-client>=0.21",
    "re2": "google-re2>=1.1.20250722",
    "rich": "rich>=13.9",
    "structlog": "structlog>=25",
    "typer": "typer>=0.26",
    "yaml": "pyyaml>=6.0.1",
}
"""Module → requirement. The same as in pyproject.toml; a test compares them, and both with the imports."""

ZSTD: Final = "backports.zstd>=1"
"""The library to add, if there is none of those in core/wire/zstd.py."""

OPTIONAL: Final[Mapping[str, str]] = {
    "botocore": "botocore>=1.41",
    "psycopg": "psycopg[binary,pool]>=3.2.2",
    "redis": "redis>=6",
    "textual": "textual>=4",
}
"""Modules of the extras. What needs one says so when it is used."""

_OF_THE_COMMAND: Final = frozenset({"typer", "rich"})
"""Not needed by the scripts: `mitmdump -s addons/gate.py`."""


def missing(*, command: bool) -> list[str]:
    """The requirements whose modules are not installed; `command`: of the sluicegate command, too."""
    found = [need for module, need in REQUIRED.items() if (command or module not in _OF_THE_COMMAND) and not _there(module)]
    return found if any(map(_there, LIBRARIES)) else [*found, ZSTD]


def require(*, command: bool = False) -> None:
    """Raises SystemExit with one line if anything is missing: without it, requests or records would fail one by one."""
    needed = missing(command=command)
    if needed:
        raise SystemExit(f"sluicegate: not installed: {', '.join(map(_name, needed))}. Add with: {adding(*needed)}")


def adding(*requirements: str) -> str:
    """The command that adds these to the environment that runs: of pip, pipx or uv."""
    if getattr(sys, "frozen", False):
        return "(mitmproxy's standalone binaries take no packages: install mitmproxy with pip, pipx or uv first)"
    return _command(requirements, Path(sys.prefix), Path(sys.executable), pip=_there("pip"))


def _command(requirements: Sequence[str], prefix: Path, python: Path, *, pip: bool) -> str:
    quoted = " ".join(f"'{r}'" for r in requirements)
    match prefix.parts:
        case (*_, "pipx", "venvs", name):
            return f"pipx inject {name} {quoted}"
        case (*_, "uv", "tools", name):
            return f"uv tool install {' '.join(f"--with '{r}'" for r in requirements)} {name}"
        case _ if pip:
            return f"{python} -m pip install {quoted}"
        case _:
            return f"uv pip install --python {python} {quoted}"


def _name(requirement: str) -> str:
    return requirement.partition(">")[0].partition("[")[0]


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:  # its parent is missing
        return False
