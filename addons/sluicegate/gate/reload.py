"""Build the policy from the configuration file: at the start, and on every change of the file.

A file with errors changes nothing: the previous policy stays in force, and the log names the error and its line.
Each request keeps the policy that it started with.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from mitmproxy import ctx, exceptions
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy import mode_specs

from sluicegate.core.addresses import host_port
from sluicegate.core.errors import StoreError, describe
from sluicegate.gate import instance_file as whereabouts
from sluicegate.gate.ca import follow_ca
from sluicegate.gate.policy import Policy
from sluicegate.gate.store_probe import probe_store
from sluicegate.providers.fetch import trust
from sluicegate.services.services import Services
from sluicegate.services.telemetry.log import log
from sluicegate.settings import ConfigError, Settings, load_usable
from sluicegate.stages.base import Stage

__all__ = ["Reloader"]

_POLL_S = 1.0
_BEAT_EVERY = 15
_FIRST_TICKS = 5
"""How long after the start another process may still make a CA."""
_PUBLIC_KEY: Final = "it signs certificates with a publicly known key: anybody could read and change the traffic"
_NOT_ALLOWED: Final = {
    "proxy_debug": "it writes credentials to the log",
    "emudhra": _PUBLIC_KEY,
    "emudhra_old": _PUBLIC_KEY,
}
"""Options of mitmproxy that undo what the gate promises."""


class Reloader:
    """Keeps the policy in step with the configuration.

    `stages` gives the classes that a policy is built from; `enforce` is called with each new policy.
    """

    def __init__(
        self,
        services: Services,
        stages: Callable[[], Sequence[type[Stage]]],
        enforce: Callable[[Policy], None],
    ) -> None:
        self.services = services
        self._stages = stages
        self._enforce = enforce
        self.path: Path | None = None
        self.settings: Settings | None = None
        self._stamp: tuple[int, int] | None = None
        self._task: asyncio.Task[None] | None = None
        self._probe: asyncio.Task[None] | None = None
        self._listed: list[Path] | None = None
        self._hosts: frozenset[str] = frozenset()
        self._setting = False

    # -- options
    def add_options(self, loader: Loader) -> None:
        loader.add_option(
            "sluicegate_config",
            str,
            "",
            "Configuration file of Sluicegate (YAML). Without one, requests pass unchanged and are audited.",
        )

    def configure(self, updated: set[str]) -> None:
        if self._setting:
            return  # called by our own change of an option below
        options = ctx.options
        for name, why in _NOT_ALLOWED.items():
            if getattr(options, name, False):  # a mitmproxy before 12.3 has not all of them
                raise exceptions.OptionsError(f"sluicegate: {name} is not allowed; {why}")
        if options.upstream_auth and any(m.startswith("reverse:") for m in options.mode):
            raise exceptions.OptionsError(
                "sluicegate: upstream_auth is not allowed with a reverse door, which would send it to the provider; "
                "put the credentials into the proxy URL: sluicegate run --upstream http://user:password@host:port"
            )
        if options.connection_strategy != "lazy":
            # eager drops the client when the upstream is down, and dials for answers that need no upstream
            self._setting = True
            try:
                options.update(connection_strategy="lazy")
            finally:
                self._setting = False
        trust(  # the gate's own requests to providers (model lists, tokens) trust the same CAs as the proxy core
            ca_file=options.ssl_verify_upstream_trusted_ca,
            ca_folder=options.ssl_verify_upstream_trusted_confdir,
            anybody=options.ssl_insecure,
        )
        for mode in options.mode:
            if mode.startswith("upstream:"):
                self.services.use_upstream(_proxy_url(mode, options.upstream_auth))
        if "sluicegate_config" in updated or self.settings is None:
            path = self._find(options.sluicegate_config or self.services.environ.get("SLUICEGATE_CONFIG", ""))
            if path != self.path or self.settings is None:
                self._first_load(path)

    def _find(self, given: str) -> Path | None:
        """The file, relative to the working directory, else to mitmproxy's configuration folder."""
        if not given:
            return None
        path = Path(given).expanduser()
        if not path.is_absolute() and not path.exists():
            beside = Path(ctx.options.confdir).expanduser() / path
            if beside.exists():
                path = beside
        return path.absolute()

    def _first_load(self, path: Path | None) -> None:
        """Load another file than before. On an error the previous file and policy stay.

        At the start an error ends the gate: the policy without a file has no scrubbing, no limits and no identity.
        """
        before = self.path, self._stamp
        self.path = path
        try:
            self._apply(self._read())
        except (StoreError, ValueError, OSError) as e:
            self.path, self._stamp = before
            raise exceptions.OptionsError(f"sluicegate: {in_full(e)}") from e

    def _read(self) -> Settings:
        if self.path:
            stat = self.path.stat()
            self._stamp = stat.st_mtime_ns, stat.st_size
        return load_usable(self.path, self.services.environ)

    def _apply(self, settings: Settings) -> None:
        policy = Policy(settings, self._stages(), self.services)
        self.settings, self._hosts = settings, policy.decrypts
        self._enforce(policy)
        if self._listed is not None:
            self._list()

    def rebuild(self) -> None:
        """Build the policy again, as the set of stages has changed."""
        if self.settings is not None:
            self._apply(self.settings)

    # -- while running
    def running(self) -> None:
        if self._probe is None and self.settings is not None:
            self._probe = asyncio.get_running_loop().create_task(probe_store(self.settings, self.services))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._watch())
        self._list()

    def _list(self) -> None:
        """Tell commands where this gate is. A reload may have changed the providers' hosts, or the state folder."""
        before = self._listed or []
        folders = whereabouts.state_folders(self.settings or Settings(), self.services.environ)
        self._listed = whereabouts.announce(folders, config=self.path, hosts=self._hosts)
        self._unlist(set(before).difference(self._listed))

    @staticmethod
    def _unlist(files: Iterable[Path]) -> None:
        for file in files:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)

    async def _watch(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(_POLL_S)
            ticks += 1
            self.services.started = True
            try:
                if ticks <= _FIRST_TICKS and follow_ca():
                    log.warning("ca.changed", why="another gate made one at the same moment", used="the one in the folder")
                self._look()
                self.services.sinks.follow_rotation()
                await self._renew_keys()
                if ticks % _BEAT_EVERY == 0:
                    self.services.monitor.send_heartbeat()
            except Exception as e:  # noqa: BLE001 - the watch must go on
                self.services.alarm("config.watch", error=describe(e))

    async def _renew_keys(self) -> None:
        """Read provider keys from their files and commands again; a changed key is used from the next attempt on."""
        services = self.services
        changed, failed = await services.provider_keys.refresh()
        for key in changed:
            log.info("key.renewed", key=key.name, reference=key.secret.reference)
            for name in [n for n in services.health.resting if n == key.name or n.startswith(f"{key.name}/")]:
                services.health.mark_healthy(name)
        for key, why in failed:
            services.alarm("key.unreadable", key=key.name, why=why, kept="the previous key")

    def _look(self) -> None:
        if self.path is None:
            return
        try:
            stat = self.path.stat()
        except OSError as e:
            if self._stamp is not None:
                self._stamp = None
                self._keep_old(e)
            return
        if (stat.st_mtime_ns, stat.st_size) == self._stamp:
            return
        try:
            self._apply(self._read())
            log.info("config.reloaded", file=str(self.path))
        except (StoreError, ValueError, OSError) as e:
            self._keep_old(e)

    def _keep_old(self, e: BaseException) -> None:
        self.services.alarm("config.rejected", why=in_full(e), kept="the previous policy")

    async def done(self) -> None:
        if self._task:
            self._task.cancel()
        self._unlist(self._listed or ())


def in_full(e: BaseException) -> str:
    """All errors, not only the first."""
    return e.report() if isinstance(e, ConfigError) else str(e)


def _proxy_url(mode: str, auth: str | None) -> str:
    """The proxy of mitmproxy's `--mode upstream:URL`, with the credentials of its `--upstream-auth`."""
    spec = mode_specs.ProxyMode.parse(mode)
    assert isinstance(spec, mode_specs.UpstreamMode)
    host, port = spec.address[:2]
    user, colon, password = (auth or "").partition(":")
    pair = f"{quote(user, safe='')}:{quote(password, safe='')}@" if colon else ""
    return f"{spec.scheme}://{pair}{host_port(host, port)}"
