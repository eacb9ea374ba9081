"""Limits and budgets alone, with the bundle's safety: `mitmdump -s addons/limiter.py --mode reverse:https://api.anthropic.com@4000`."""

from sluicegate.core.dependencies import require

require()

from sluicegate.gate.install import install
from sluicegate.stages import Limiter, Router

install(Limiter, Router)
