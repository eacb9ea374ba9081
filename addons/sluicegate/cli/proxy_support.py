"""Whether a program will use HTTPS_PROXY at all, as far as that can be told before it runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

__all__ = ["node_without_proxy"]

_OWN_PROXY: Final = frozenset({"claude", "codex"})
"""Programs of Node that read HTTPS_PROXY themselves."""
_TIMEOUT_S: Final = 5.0


def node_without_proxy(program: str) -> str | None:
    """The version of the Node that runs `program`, if this Node ignores HTTPS_PROXY and NODE_USE_ENV_PROXY; else None.

    Node reads them since 22.21 and 24.0 (https://nodejs.org/api/cli.html#node_use_env_proxy1).
    """
    if Path(program).name in _OWN_PROXY or not (node := _node_of(program)):
        return None
    try:
        said = subprocess.run(  # noqa: S603 - the interpreter that is about to run
            [node, "--version"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    if not (found := re.match(r"v(\d+)\.(\d+)", said)):
        return None
    major, minor = int(found[1]), int(found[2])
    return None if major >= 24 or (major == 22 and minor >= 21) else f"{major}.{minor}"


def _node_of(program: str) -> str | None:
    """The Node that runs this program: itself, or that of its first line."""
    path = os.path.realpath(program)
    if re.fullmatch(r"node(js)?(\.exe)?|node-?\d+", Path(path).name):
        return path
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a path of any program
            first = file.readline(256)
    except OSError:
        return None
    if not (line := re.match(rb"#!\s*(?:\S*/env\s+(?:-S\s+)?)?(\S*/)?(node(?:js)?)\b", first)):
        return None
    return shutil.which((line[1] or b"").decode("utf-8", "replace") + line[2].decode())
