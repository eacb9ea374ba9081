"""proxy/connections/descriptors.py: the soft limit of open files, and what it allows."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
from sluicegate.proxy.connections.descriptors import default_connections, raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
raise_limit()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], default_connections())
"""


@pytest.mark.parametrize(("soft", "hard", "connections"), [(256, 4096, 1920), (1000, 1000, 372), (128, 128, 100)])
def test_the_soft_limit_is_raised_and_half_of_it_may_be_connections(soft: int, hard: int, connections: int) -> None:
    """Each stream takes two descriptors; some are kept for files; never fewer than a hundred."""
    program = PROGRAM.format(soft=soft, hard=hard)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(hard), str(connections)]
