"""`sluicegate exec` and `sluicegate env`: the environment that sends an unmodified client through the regular door."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from sluicegate.cli.places import fail

__all__ = ["client_environment", "env", "exec_"]

UNSET = ("ALL_PROXY", "all_proxy")
"""With ALL_PROXY set, some clients send /v1/messages past the proxy."""

NO_GATE = "no gate is running on this machine; start one with `sluicegate run`"

ProxyOption = Annotated[
    str | None,
    typer.Option("--proxy", help="URL of the regular door, http://host:port. Default: the gate running on this machine."),
]
CaOption = Annotated[
    Path | None, typer.Option("--ca", help="CA certificate of the gate (PEM). Default: that of the running gate.")
]


def exec_(ctx: typer.Context, proxy: ProxyOption = None, ca: CaOption = None) -> None:
    """Run a command with its traffic through the gate: sluicegate exec -- claude …"""
    if not ctx.args:
        fail("missing command; example: sluicegate exec -- claude")
    program = shutil.which(ctx.args[0])
    if program is None:
        fail(f"command not found on PATH: {ctx.args[0]!r}", 127)
    environment = {k: v for k, v in os.environ.items() if k not in UNSET}
    environment.update(client_environment(proxy, ca))
    os.execve(program, ctx.args, environment)  # noqa: S606 - running the user's command is what this is for


def env(
    proxy: ProxyOption = None,
    ca: CaOption = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="Print the env block for Claude Code's settings.json.")
    ] = False,
) -> None:
    """Print shell commands that send clients through the gate: eval "$(sluicegate env)" """
    variables = client_environment(proxy, ca)
    if settings:
        typer.echo(json.dumps({"env": variables}, indent=2))
        return
    typer.echo(f"unset {' '.join(UNSET)}")
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def client_environment(proxy: str | None, ca: Path | None) -> dict[str, str]:
    """The proxy and CA variables that Node, Python and curl read."""
    gate = _running() if proxy is None or ca is None else {}
    address = proxy or _door(gate)
    certificate = (ca or Path(gate["ca"])).absolute()
    if not certificate.exists():
        fail(f"no CA certificate at {certificate}; pass the path of the running gate's with --ca")
    bundle = str(_bundle(certificate))
    return {
        "HTTPS_PROXY": address,
        "https_proxy": address,
        "NODE_EXTRA_CA_CERTS": str(certificate),
        "NODE_USE_ENV_PROXY": "1",
        "SSL_CERT_FILE": bundle,
        "REQUESTS_CA_BUNDLE": bundle,
    }


def _running() -> dict[str, Any]:
    from sluicegate.gate.instance_file import living
    from sluicegate.settings import Settings
    from sluicegate.settings.state_folder import state_folder

    gates = living(state_folder(Settings()))
    with_door = [g for g in gates if any(d["mode"] in ("regular", "upstream") for d in g["doors"])]
    what = "the gate running on this machine has no regular door; start it with --regular PORT" if gates else NO_GATE
    return with_door[0] if with_door else fail(f"{what}, or point to one with --proxy and --ca")


def _door(gate: dict[str, Any]) -> str:
    door = next(d for d in gate["doors"] if d["mode"] in ("regular", "upstream"))
    host = door["host"] if door["host"] not in ("", "::", "0.0.0.0") else "127.0.0.1"  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{door['port']}"


def _bundle(certificate: Path) -> Path:
    """One file with the public roots and our CA, as SSL_CERT_FILE replaces the trusted roots.

    Hosts that the gate does not decrypt are tunnelled and need the public roots.
    """
    import certifi

    from sluicegate.settings import Settings
    from sluicegate.settings.state_folder import state_folder

    roots = Path(os.environ.get("SSL_CERT_FILE") or certifi.where())
    path = state_folder(Settings()) / "run" / "ca-bundle.pem"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if roots != path:
        text = roots.read_text() if roots.exists() else Path(certifi.where()).read_text()
        path.write_text(text.rstrip() + "\n" + certificate.read_text())
    return path
