"""The closed list of stages: each computes an outcome from its recipe and stored inputs alone."""

from retbench.stages.attack import AttackContext, FitAttack, FitAttackPart, Perturb
from retbench.stages.encode import EncodeQueries, EncodeSplit
from retbench.stages.features import ComputeFeatures, shard_rows
from retbench.stages.fit import FitHasher, FitPart, FitPurifier, Harden
from retbench.stages.purify import Purify
from retbench.stages.queries import Queries, draw_queries
from retbench.stages.score import Score
from retbench.stages.stage import Load, Outcome, Stage
from retbench.stages.states import StateKeys, Victim
from retbench.stages.targets import DrawTargets

__all__ = [
    "AttackContext",
    "ComputeFeatures",
    "DrawTargets",
    "EncodeQueries",
    "EncodeSplit",
    "FitAttack",
    "FitAttackPart",
    "FitHasher",
    "FitPart",
    "FitPurifier",
    "Harden",
    "Load",
    "Outcome",
    "Perturb",
    "Purify",
    "Queries",
    "Score",
    "Stage",
    "StateKeys",
    "Victim",
    "draw_queries",
    "shard_rows",
]
