"""A stand-in for LLM providers, with faults and a bill, for tests, benchmarks and the demo."""

from .behaviour import Behaviour, BehaviourError
from .calls import Call
from .server import Simulator, simulator

__all__ = ["Behaviour", "BehaviourError", "Call", "Simulator", "simulator"]
