"""The whole bundle: `mitmdump -s addons/gate.py --mode reverse:https://api.anthropic.com@4000`."""

from sluicegate.core.dependencies import require

require()

from sluicegate.gate.install import install
from sluicegate.stages import ORDER

install(*ORDER)
