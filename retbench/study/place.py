"""Where a store lies unless somebody names another place."""

from __future__ import annotations

import os
from pathlib import Path

STORE = Path(".retbench")
STORE_VARIABLE = "RETBENCH_STORE"


def default_store() -> Path:
    """Return the folder of RETBENCH_STORE, or `.retbench` in the current folder."""
    return Path(os.environ.get(STORE_VARIABLE) or STORE)
