"""Store the rows of the suite `smoke` on the CPU in float32: `python -m tests.devices.store_rows`, from the root."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch

import retbench

STORED_ROWS = Path(__file__).with_name("smoke-rows.json")


def read_rows(study: retbench.Study) -> list[dict[str, Any]]:
    """Return attack, defense and the values of the metrics of each row."""
    return [
        {
            "attack": row.attack,
            "defense": row.defense,
            "metrics": {name: {"value": round(interval.value, 4)} for name, interval in row.metrics.items()},
        }
        for row in study.rows()
    ]


def main() -> None:
    """Run the suite with one thread, and write its rows."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as store:
        rows = read_rows(retbench.open("smoke", store=store, device="cpu", precision="float32").run())
    STORED_ROWS.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
