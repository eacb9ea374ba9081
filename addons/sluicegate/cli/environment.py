"""`sluicegate exec` and `sluicegate env`: the environment that sends an unmodified client through the regular door."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import typer

from sluicegate.cli.ca_bundle import ca_variables
from sluicegate.cli.no_proxy import without_hosts
from sluicegate.cli.places import ConfigOption, fail, read_settings, warn
from sluicegate.cli.proxy_support import node_without_proxy
from sluicegate.cli.running import address_of_door, none_runs, running
from sluicegate.core.addresses import host_port

__all__ = ["client_environment", "env", "exec_"]

UNSET: Final = ("ALL_PROXY", "all_proxy")
"""With ALL_PROXY set, some clients send /v1/messages past the proxy."""
NO_PROXY: Final = ("NO_PROXY", "no_proxy")

ProxyOption = Annotated[
    str | None,
    typer.Option(
        "--proxy",
        metavar="URL",
        help="URL of the regular door, http://host:port. Default: the gate running on this machine.",
    ),
]
CaOption = Annotated[
    Path | None,
    typer.Option("--ca", metavar="FILE", help="CA certificate of the gate (PEM). Default: that of the running gate."),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="REFERENCE",
        help="The client's virtual key: env:NAME, file:PATH or cmd:COMMAND. Sent as proxy password.",
    ),
]


def exec_(
    ctx: typer.Context,
    proxy: ProxyOption = None,
    ca: CaOption = None,
    config: ConfigOption = None,
    key: KeyOption = None,
) -> None:
    """Run a command with its traffic through the gate: sluicegate exec -- claude …"""
    if not ctx.args:
        fail("missing command; example: sluicegate exec -- claude")
    program = shutil.which(ctx.args[0])
    if program is None:
        fail(f"command not found on PATH: {ctx.args[0]!r}", 127)
    environment = {k: v for k, v in os.environ.items() if k not in UNSET}
    gate = _gate(proxy, ca, config)
    environment.update(client_environment(gate, key))
    if version := node_without_proxy(program):
        warn(
            f"Node {version} ignores HTTPS_PROXY; unless {Path(program).name} reads it, calls go past the gate. "
            f"Use Node 22.21, 24 or newer, or set the client's base URL{_base_url(gate)}"
        )
    os.execve(program, ctx.args, environment)  # noqa: S606 - running the user's command is what this is for


def env(
    proxy: ProxyOption = None,
    ca: CaOption = None,
    config: ConfigOption = None,
    key: KeyOption = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="Print the env block for Claude Code's settings.json.")
    ] = False,
) -> None:
    """Print shell commands that send clients through the gate: eval "$(sluicegate env)" """
    variables = client_environment(_gate(proxy, ca, config), key)
    if settings:
        typer.echo(json.dumps({"env": variables}, indent=2))
        return
    typer.echo(f"unset {' '.join(UNSET)}")
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def client_environment(gate: Mapping[str, Any], key: str | None) -> dict[str, str]:
    """The proxy and CA variables that Node, Python, curl and the AWS CLI read, and NO_PROXY without providers' hosts."""
    certificate = Path(gate["ca"]).absolute()
    if not certificate.exists():
        fail(f"no CA certificate at {certificate}; pass the path of the running gate's with --ca")
    trusted = _trusted(certificate, gate["folders"])
    address = _with_key(gate["proxy"], key) if key else gate["proxy"]
    return {
        "HTTPS_PROXY": address,
        "https_proxy": address,
        "NODE_USE_ENV_PROXY": "1",
        **trusted,
        **_no_proxy(gate["hosts"]),
    }


def _trusted(certificate: Path, folders: Iterable[Path]) -> dict[str, str]:
    """The CA variables; their bundle goes into the first folder that takes it."""
    why = ""
    for folder in folders:
        try:
            return ca_variables(certificate, folder / "run", os.environ)
        except OSError as e:
            why = f"{e.filename or folder}: {e.strerror}"
    return fail(f"cannot write the CA bundle: {why}; set SLUICEGATE_STATE_DIR to a folder of yours")


def _no_proxy(hosts: Iterable[str]) -> dict[str, str]:
    """NO_PROXY beats HTTPS_PROXY: a provider's host in it would be called past the gate, without a record."""
    changed, taken = {}, list[str]()
    for name in NO_PROXY:
        kept, removed = without_hosts(os.environ.get(name, ""), hosts)
        if removed:
            changed[name] = kept
            taken += [entry for entry in removed if entry not in taken]
    if taken:
        warn(f"left out of NO_PROXY for this client: {', '.join(taken)}; the calls to providers would go past the gate")
    return changed


def _with_key(address: str, reference: str) -> str:
    from sluicegate.settings.secret import Secret

    try:
        secret = Secret.parse(reference).resolve(os.environ)
    except ValueError as e:
        fail(f"--key: {e}")
    u = urlsplit(address)
    return urlunsplit(u._replace(netloc=f"sluicegate:{quote(secret, safe='')}@{u.netloc.rpartition('@')[2]}"))


def _gate(proxy: str | None, ca: Path | None, config: Path | None) -> dict[str, Any]:
    """Where the gate is: its proxy URL, CA, providers' hosts, and the folders that its files may go to."""
    found = _with_regular_door(config, needed=proxy is None or ca is None)
    folders = [read_settings(config).state_dir.expanduser(), *([Path(found["state"])] if "state" in found else [])]
    return {
        "proxy": proxy or f"http://{host_port(*address_of_door(_regular(found)))}",
        "ca": ca or found["ca"],
        "hosts": found.get("hosts") or _configured_hosts(config),
        "folders": folders,
        "doors": found.get("doors", ()),
    }


def _with_regular_door(config: Path | None, *, needed: bool) -> dict[str, Any]:
    if not needed:
        return {}
    gates = running(config)
    if with_door := [g for g in gates if _regular(g)]:
        return with_door[0]
    no_door = "the gate running on this machine has no regular door; start it with --regular PORT"
    return fail(f"{no_door if gates else none_runs(config)}, or point to one with --proxy and --ca")


def _regular(gate: Mapping[str, Any]) -> dict[str, Any]:
    return next((d for d in gate.get("doors", ()) if d["mode"] in ("regular", "upstream")), {})


def _configured_hosts(config: Path | None) -> list[str]:
    """The providers' hosts by the configuration, for a gate that is not found but pointed to."""
    from sluicegate.providers import anthropic
    from sluicegate.providers.base import origin_of

    settings = read_settings(config)
    bases = [base for p in settings.providers.values() if (base := p.resolved_base_url)]
    return [*anthropic.HOSTS, *settings.regular.decrypt, *(origin_of(base).host for base in bases)]


def _base_url(gate: Mapping[str, Any]) -> str:
    door = next((d for d in gate["doors"] if d["mode"] == "reverse"), None)
    return f" to http://{host_port(*address_of_door(door))}" if door else ""
