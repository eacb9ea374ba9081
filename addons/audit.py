"""The audit log alone, with the bundle's safety: `mitmdump -s addons/audit.py --mode reverse:https://api.anthropic.com@4000`."""

from sluicegate.core.dependencies import require

require()

from sluicegate.gate.install import install
from sluicegate.stages import Audit

install(Audit)
