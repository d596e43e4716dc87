"""A suite opened against a store: what the command line and the Python API both work with.

Nothing heavy is imported here: the command line asks where a store lies before it loads what a study needs.
"""

from __future__ import annotations

import os
from pathlib import Path

STORE = Path(".retbench")
STORE_VARIABLE = "RETBENCH_STORE"


def default_store() -> Path:
    """Return the folder of RETBENCH_STORE, or `.retbench` in the current folder."""
    return Path(os.environ.get(STORE_VARIABLE) or STORE)
