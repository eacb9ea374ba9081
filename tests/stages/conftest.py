"""Makes the modules that these tests share importable."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # at the end: other folders have a conftest, too
