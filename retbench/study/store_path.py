"""The default folder of the store."""

from __future__ import annotations

import os
from pathlib import Path

STORE = Path(".retbench")
STORE_VARIABLE = "RETBENCH_STORE"


def default_store() -> Path:
    """Return the folder in RETBENCH_STORE, or `.retbench` in the current folder if it is not set."""
    return Path(os.environ.get(STORE_VARIABLE) or STORE)
