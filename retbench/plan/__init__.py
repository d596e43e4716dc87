"""From cells to a plan."""

from retbench.plan.plan import Plan, PlannedCell
from retbench.plan.planner import GRANTED_SPLITS, make_plan
from retbench.plan.screening import Screening

__all__ = ["GRANTED_SPLITS", "Plan", "PlannedCell", "Screening", "make_plan"]
