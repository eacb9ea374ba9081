"""`sluicegate run`: the gate with its doors (listeners), and mitmweb on request, in one process."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer

from sluicegate.cli.places import certs_dir, fail, warn
from sluicegate.core.addresses import host_port
from sluicegate.services.services import Services
from sluicegate.settings import ConfigError, Settings, load_usable

__all__ = ["run"]


def run(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Configuration file (YAML). Default: none; bodies pass unchanged."),
    ] = None,
    reverse: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the reverse door, for clients with a base URL."),
    ] = None,
    regular: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the regular door, for clients with HTTPS_PROXY.")
    ] = None,
    upstream: Annotated[
        str | None,
        typer.Option(help="Send all upstream traffic through this HTTP proxy: http://host:port, or with user:password@."),
    ] = None,
    web: Annotated[bool, typer.Option("--web", help="Show the traffic in mitmweb.")] = False,
    web_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of mitmweb.")] = 8081,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show mitmproxy's own log, too.")] = False,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Set a mitmproxy option: name=value.")] = None,
) -> None:
    """Run the gate. Default doors (listeners): reverse on port 4000 and regular on port 8080."""
    path = config or (Path(os.environ["SLUICEGATE_CONFIG"]) if os.environ.get("SLUICEGATE_CONFIG") else None)
    environ = dict(os.environ)
    if path is None and sys.stdout.isatty():
        environ.setdefault("SLUICEGATE__AUDIT__FORMAT", "line")  # a person watches: records as readable lines
    try:
        settings = load_usable(path, environ)
    except ConfigError as e:
        fail(e.report())
    if reverse is None and regular is None:
        reverse, regular = 4000, 8080
    _must_be_free(host, {"--reverse": reverse, "--regular": regular, "--web-port": web_port if web else None})
    certs = certs_dir(settings)
    modes = []
    target = _reverse_target(settings)
    if reverse is not None:
        modes += ["--mode", f"reverse:{target}@{reverse}"]
    if regular is not None:
        modes += ["--mode", f"regular@{regular}"]
    args = [
        *modes,
        "--listen-host",
        host,
        "--set",
        f"confdir={certs}",
        "--set",
        "connection_strategy=lazy",
    ]
    if not verbose:
        args += ["--set", "termlog_verbosity=warn"]
    if path:
        args += ["--set", f"sluicegate_config={path.absolute()}"]
    if web:
        args += [
            "--set",
            "web_open_browser=false",
            "--set",
            f"web_port={web_port}",
            "--set",
            "web_host=127.0.0.1",
        ]
    else:
        args += ["--set", "flow_detail=0"]
    for option in set_ or ():
        args += ["--set", option]
    services = Services(environ)
    _use_upstream(upstream, services, settings)
    _serve(args, certs, services, web=web, target=target)


def _use_upstream(upstream: str | None, services: Services, settings: Settings) -> None:
    if upstream:
        try:
            services.use_upstream(upstream)
        except ValueError as e:
            fail(f"--upstream: {e}")
    elif hint := unused_proxy(services.environ, settings):
        warn(hint)


def unused_proxy(environ: Mapping[str, str], settings: Settings) -> str | None:
    """A hint, if the environment names a proxy for HTTPS: the gate does not read it. Its value may hold a password."""
    name = next((name for name in ("HTTPS_PROXY", "https_proxy") if environ.get(name)), None)
    if name is None or any(provider.proxy != "inherit" for provider in settings.providers.values()):
        return None
    return f"{name} is set, but the gate does not use it; to go through a proxy, give --upstream URL or providers.X.proxy"


def _reverse_target(settings: Settings) -> str:
    """The upstream that mitmproxy requires for a reverse listener; the routes decide where requests go."""
    first = next(iter(settings.providers.values()), None)
    base = first.resolved_base_url if first else "https://api.anthropic.com"
    scheme, _, rest = base.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _must_be_free(host: str, ports: Mapping[str, int | None]) -> None:
    """End the command if a port is given twice, or in use."""
    taken: dict[int, str] = {}
    for flag, port in ports.items():
        if not port:
            continue
        if port in taken:
            fail(f"{taken[port]} and {flag} are both port {port}; choose another with {flag}")
        taken[port] = flag
        at = host if flag != "--web-port" else "127.0.0.1"
        with socket.socket(socket.AF_INET6 if ":" in at else socket.AF_INET) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((at, port))
            except OSError as e:
                why = e.strerror or str(e)
                fail(f"cannot listen on {host_port(at, port)}: {why}. Choose another port with {flag}.")


def _serve(args: list[str], certs: Path, services: Services, *, web: bool, target: str) -> None:
    from mitmproxy.exceptions import OptionsError
    from mitmproxy.options import Options
    from mitmproxy.tools import cmdline, main
    from mitmproxy.tools.dump import DumpMaster
    from mitmproxy.tools.web.master import WebMaster

    from sluicegate.cli.banner import Banner
    from sluicegate.gate.ca import make_ca
    from sluicegate.gate.install import install_at_start
    from sluicegate.stages import ORDER

    given = [(flag.removeprefix("--"), value) for flag, value in pairwise(args)]

    def prepare(master: Any) -> None:
        """What can fail fails here: mitmproxy would end with a message of its own, and make a CA before."""
        options = [value for flag, value in given if flag == "set" and not value.startswith("confdir=")]
        master.options.set(*options, defer=True)
        master.options.update(mode=[value for flag, value in given if flag == "mode"])
        install_at_start(*ORDER, services=services)
        master.addons.add(Banner(target, upstream=services.via))
        try:
            make_ca(certs)
        except OSError as e:
            fail(f"cannot make the CA in {certs}: {e.strerror}; set SLUICEGATE_CERTS to a folder that is writable")

    class Dump(DumpMaster):
        def __init__(self, options: Options) -> None:
            options.confdir = str(certs)  # if mitmproxy takes options back, it is to this folder and not to ~/.mitmproxy
            super().__init__(options, with_dumper=False)
            options.add_option("flow_detail", int, 0, "")
            prepare(self)

    class Web(WebMaster):
        def __init__(self, options: Options) -> None:
            options.confdir = str(certs)
            super().__init__(options)
            prepare(self)

    try:
        if web:
            main.run(Web, cmdline.mitmweb, args)
        else:
            main.run(Dump, cmdline.mitmdump, args)
    except OptionsError as e:
        fail(str(e).removeprefix("sluicegate: "))
