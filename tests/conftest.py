"""What every test shares: the process harness on the path, markers by folder, process output in reports."""

import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

HERE = Path(__file__).parent
pytest.register_assert_rewrite("kits")

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test's folder is its marker: e2e and clients need not be written on each test."""
    for item in items:
        for marker in ("e2e", "clients"):
            if item.path.is_relative_to(HERE / marker):
                item.add_marker(marker)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failing test shows the end of what its processes printed."""
    report = yield
    if report.failed and (gatekit := sys.modules.get("kits.gatekit")):
        report.sections += [(f"output of {process.name}", process.excerpt()) for process in gatekit.LIVE]
    return report


@pytest.fixture(autouse=True)
def _no_proxy_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the proxies, provider keys or gate settings of the shell that started it."""
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.startswith(("ANTHROPIC_", "SLUICEGATE_")):
            monkeypatch.delenv(name)


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell does that to what it starts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)
