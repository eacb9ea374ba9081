"""A stage that has to read all that passes, as a scrubber does."""

from sluicegate.gate.install import install
from sluicegate.stages import Stage


class Reading(Stage):
    name = "reading"
    reads_websockets = True


install(Reading)
