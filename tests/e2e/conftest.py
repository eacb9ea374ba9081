"""Fixtures of the end-to-end tests: a simulator, and gates that are stopped and gone when the test ends."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kits.gatekit import (
    Gate,
    Simulator,
    StartGate,
    StartSimulator,
)


@pytest.fixture
def start_simulator(tmp_path: Path) -> Iterator[StartSimulator]:
    """Start one more upstream: `start_simulator()`; each has its own port and its own list of calls."""
    with ExitStack() as running:
        started = 0

        def start(**options: Any) -> Simulator:
            nonlocal started
            started += 1
            name = f"simulator-{started}"
            return running.enter_context(Simulator(tmp_path / name, name=name, **options))

        yield start


@pytest.fixture
def simulator(start_simulator: StartSimulator) -> Simulator:
    """A Messages API stand-in of this test's own."""
    return start_simulator()


@pytest.fixture
def start_gate(tmp_path: Path, simulator: Simulator) -> Iterator[StartGate]:
    """Start a gate before the simulator: `start_gate(config=..., regular=True)`; options of gatekit.Gate."""
    with ExitStack() as running:
        started = 0

        def start(**options: Any) -> Gate:
            nonlocal started
            started += 1
            name = f"gate-{started}"
            options.setdefault("upstream", simulator.url)
            return running.enter_context(Gate(tmp_path / name, name=name, **options))

        yield start


@pytest.fixture
def gate(start_gate: StartGate) -> Gate:
    """A gate that passes everything through to the simulator."""
    return start_gate()
