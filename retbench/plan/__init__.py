"""Turn cells into a plan of unique steps."""

from retbench.plan.declarations import DeclarationCheck, parts_of
from retbench.plan.plan import Plan, PlannedCell
from retbench.plan.planner import CODE_SPLITS, make_plan
from retbench.plan.screening import Screening

__all__ = ["CODE_SPLITS", "DeclarationCheck", "Plan", "PlannedCell", "Screening", "make_plan", "parts_of"]
