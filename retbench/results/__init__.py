"""From a plan and a store to rows, and what they rest on."""

from retbench.results.collect import collect
from retbench.results.evidence import Evidence, Scores, StepRecord, shown_steps, stored_scores, stored_steps
from retbench.results.frame import make_frame
from retbench.results.row import ROW_AXES, Row, Status, TieRange, read_row

__all__ = [
    "ROW_AXES",
    "Evidence",
    "Row",
    "Scores",
    "Status",
    "StepRecord",
    "TieRange",
    "collect",
    "make_frame",
    "read_row",
    "shown_steps",
    "stored_scores",
    "stored_steps",
]
