"""A mitmproxy script that tells gatekit when the start is over.

Ports answer a little earlier, and an error logged in between would still end mitmproxy as a failed start.
"""

import os
from pathlib import Path


def running() -> None:
    Path(os.environ["GATEKIT_READY"]).touch()
