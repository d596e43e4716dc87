"""Turn cells into a plan of unique steps."""

from retbench.plan.plan import Plan, PlannedCell
from retbench.plan.planner import CODE_SPLITS, make_plan
from retbench.plan.screening import Screening

__all__ = ["CODE_SPLITS", "Plan", "PlannedCell", "Screening", "make_plan"]
