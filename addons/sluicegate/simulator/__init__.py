"""A stand-in for LLM providers, with faults and a bill, for tests, benchmarks and the demo."""

from sluicegate.simulator.behaviour import Behaviour, BehaviourError
from sluicegate.simulator.calls import Call
from sluicegate.simulator.server import Simulator, simulator

__all__ = ["Behaviour", "BehaviourError", "Call", "Simulator", "simulator"]
