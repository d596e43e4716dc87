"""Collect rows and their evidence from a plan and a store."""

from retbench.results.collect import collect
from retbench.results.evidence import (
    Evidence,
    ScoreReader,
    StepRecord,
    make_score_reader,
    read_step_records,
    steps_of_rows,
    trainings_by,
)
from retbench.results.frame import make_frame
from retbench.results.row import ROW_AXES, Row, Status, TieRange, read_row

__all__ = [
    "ROW_AXES",
    "Evidence",
    "Row",
    "ScoreReader",
    "Status",
    "StepRecord",
    "TieRange",
    "collect",
    "make_frame",
    "make_score_reader",
    "read_row",
    "read_step_records",
    "steps_of_rows",
    "trainings_by",
]
