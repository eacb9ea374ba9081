"""What is relied on beyond documented surface is still there in the mitmproxy and h11 that are installed.

A failure here names the files of ours that break: start there with a new version.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import addonmanager, options, optmanager
from mitmproxy.addons import clientplayback
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import http as core
from mitmproxy.test import taddons, tflow

import sluicegate
from sluicegate.proxy import mitmproxy_internals as internals
from sluicegate.proxy.fast.dispatch import CachedAddonManager, PlainOptions
from sluicegate.proxy.layer import GateLayer
from sluicegate.proxy.mitmproxy_internals import RELIED_ON, Reliance
from sluicegate.proxy.playback import GatePlayback, GateReplayHandler
from sluicegate.proxy.retrying import RetryingStream
from sluicegate.proxy.stream import GateStream
from sluicegate.proxy.wire import http1_client
from sluicegate.proxy.wire.http1_client import GateHttp1Client
from sluicegate.proxy.wire.http1_server import GateHttp1Server
from sluicegate.proxy.wire.http2_client import GateHttp2Client

PACKAGE = Path(sluicegate.__file__).parent

OURS = [
    GateLayer,
    GateStream,
    RetryingStream,
    GateHttp1Client,
    GateHttp1Server,
    GateHttp2Client,
    http1_client._Chunks,
    CachedAddonManager,
    PlainOptions,
    GatePlayback,
    GateReplayHandler,
]
"""Our subclasses of mitmproxy's and h11's classes."""


@pytest.mark.parametrize("reliance", RELIED_ON, ids=lambda r: r.what)
async def test_what_is_relied_on_is_there(reliance: Reliance) -> None:
    """Each name exists, and a function takes the parameters that we give it."""
    found = _found(reliance.what)
    assert found is not None, _broken(reliance, "is gone")
    if reliance.parameters is not None:
        names = " ".join(inspect.signature(found).parameters)
        assert names == reliance.parameters, _broken(reliance, f"takes ({names}) now")


def _broken(reliance: Reliance, how: str) -> str:
    return f"{reliance.what} {how}; for {reliance.why} it is relied on by {', '.join(reliance.users)}"


_MISSING = object()


def _found(what: str) -> Any:
    """The thing itself; True for an attribute that instances have, None if there is none."""
    module, _, path = what.partition(":")
    found: Any = importlib.import_module(module)
    *outer, last = path.split(".")
    for name in outer:
        found = getattr(found, name)
    there = getattr(found, last, _MISSING)
    if there is not _MISSING and not (there is None and not outer):
        return True if there is None else there
    if not inspect.isclass(found):
        return None
    declared = any(last in inspect.get_annotations(base) for base in found.__mro__)
    instance = MADE[found.__name__]() if not declared and found.__name__ in MADE else None
    return True if declared or hasattr(instance, last) else None


def _context() -> Context:
    opts = options.Options()
    Proxyserver().load(opts)  # type: ignore[arg-type]
    client = tflow.tclient_conn()
    return Context(client, opts)


def _addon_manager() -> addonmanager.AddonManager:
    with taddons.context() as running:
        return running.master.addons


MADE: dict[str, Callable[[], Any]] = {
    "HttpStream": lambda: core.HttpStream(_context(), 1),
    "HttpLayer": lambda: core.HttpLayer(_context(), core.HTTPMode.transparent),
    "Http1Client": lambda: core.Http1Client(_context()),
    "Http1Connection": lambda: core.Http1Client(_context()),
    "Http2Client": lambda: internals.Http2Client(_context()),
    "Http2Connection": lambda: internals.Http2Client(_context()),
    "ReceiveBuffer": internals.ReceiveBuffer,
    "_Option": lambda: optmanager._Option("o", int, 1, "", None),
    "OptManager": options.Options,
    "AddonManager": _addon_manager,
    "Proxyserver": Proxyserver,
    "ConnectionHandler": lambda: clientplayback.ReplayHandler(tflow.tflow(), _context().options),
    "ClientPlayback": clientplayback.ClientPlayback,
    "Context": _context,
}
"""Instances as mitmproxy makes them, for attributes that are set in `__init__`."""


def test_an_attribute_that_is_gone_is_found_out() -> None:
    """Neither on the class nor on an instance: the test above would fail."""
    assert _found("mitmproxy.proxy.layers.http:HttpLayer.no_such_thing") is None
    assert _found("mitmproxy.proxy.layers.http:no_such_thing") is None
    assert "proxy/x.py" in _broken(Reliance("m:a", "x", ("proxy/x.py",)), "is gone")


def test_the_files_that_rely_on_it_are_there() -> None:
    """Each file named in the list exists, and is one that imports or subclasses something of mitmproxy's or h11's."""
    for reliance in RELIED_ON:
        for user in reliance.users:
            assert (PACKAGE / user).is_file(), (reliance.what, user)


@pytest.mark.parametrize("cls", OURS)
def test_an_override_takes_what_the_stock_method_takes(cls: type) -> None:
    """A method of ours that replaces a stock one can be called wherever stock calls it."""
    checked = 0
    for name, ours in vars(cls).items():
        stock = next((vars(base)[name] for base in cls.__mro__[1:] if name in vars(base)), None)
        if stock is None or not inspect.isfunction(ours) or not inspect.isfunction(stock) or name == "__init__":
            continue
        expected, given = inspect.signature(stock).parameters, inspect.signature(ours).parameters
        assert _kinds(given) == _kinds(expected), f"{cls.__name__}.{name}({', '.join(expected)}) has changed"
        checked += 1
    assert checked


def _kinds(parameters: Any) -> list[tuple[Any, bool]]:
    return [(p.kind, p.default is p.empty) for p in parameters.values()]


@pytest.mark.parametrize(
    ("cls", "stock", "methods"),
    [
        (
            RetryingStream,
            core.HttpStream,
            "_handle_event check_body_size flow_done handle_connect_regular handle_event handle_protocol_error "
            "make_server_connection send_response start_response_stream state_consume_request_body "
            "state_stream_response_body state_wait_for_request_headers state_wait_for_response_headers",
        ),
        (
            GateLayer,
            core.HttpLayer,
            "_handle_event event_to_child get_connection make_stream register_connection",
        ),
        (GateHttp1Client, core.Http1Client, "mark_done read_body read_headers"),
        (GateHttp1Server, core.Http1Server, "read_body read_headers send"),
        (GateHttp2Client, internals.Http2Client, "_handle_event close_connection handle_h2_event"),
        (
            CachedAddonManager,
            addonmanager.AddonManager,
            "add clear handle_lifecycle register remove trigger_event",
        ),
    ],
)
def test_the_methods_that_we_replace_are_stocks(cls: type, stock: type, methods: str) -> None:
    """One that stock calls by another name in a new version would be replaced no more, and nothing else would tell."""
    ours = {
        name for base in cls.__mro__[: cls.__mro__.index(stock)] for name, f in vars(base).items() if inspect.isfunction(f)
    }
    replaced = {name for name in ours if hasattr(stock, name) and not name.startswith("__")}
    assert replaced == set(methods.split())


def test_a_stock_instance_can_be_made_one_of_ours() -> None:
    """Neither has slots that the other lacks: `__class__` may be set."""
    for cls in OURS:
        stock = next(b for b in cls.__mro__[1:] if not b.__module__.startswith("sluicegate"))
        assert not vars(cls).get("__slots__"), cls
        assert "__dict__" in dir(stock), stock


def test_private_names_are_imported_in_one_place() -> None:
    """A leading underscore of mitmproxy or h11, in an import or after a dot: only in proxy/mitmproxy_internals.py."""
    found = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in PACKAGE.rglob("*.py")
        if path != Path(internals.__file__)
        for name in _private_imports(ast.parse(path.read_text()))
    ]
    assert found == []


def _private_imports(tree: ast.Module) -> Iterator[str]:
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("mitmproxy", "h11"):
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name for name in full if _is_private(name))
            modules |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            yield from (name for name in names if name.startswith(("mitmproxy.", "h11.")) and _is_private(name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{node.value.id}.{node.attr}"
            if node.value.id in modules and _is_private(name):
                yield name


def _is_private(name: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


def test_each_private_import_is_in_the_list() -> None:
    """What the one file imports is named in RELIED_ON, so that the list is complete."""
    listed = {reliance.what for reliance in RELIED_ON}
    tree = ast.parse(Path(internals.__file__).read_text())
    imported = [
        f"{node.module}:{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if _is_private(f"{node.module}.{alias.name}")
    ]
    assert imported
    assert [name for name in imported if not any(w == name or w.startswith(f"{name}.") for w in listed)] == []


def test_a_fork_is_stocks_without_its_new_server() -> None:
    """The same client, options and server, and layers of its own."""
    context = _context()
    forked, stock = internals.fork(context), context.fork()
    assert set(vars(forked)) == set(vars(stock))
    for name, value in vars(stock).items():
        assert vars(forked)[name] == value or name == "layers", name
    forked.layers.append(core.HttpLayer(_context(), core.HTTPMode.transparent))
    assert context.layers == []
