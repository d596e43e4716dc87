"""The contract checks of parts."""

from __future__ import annotations

import torch

from retbench.contracts import AttackPart, Dataset, Facts, Part
from retbench.testing.component_setup import fit_part, require


def check_part(part: Part | AttackPart, dataset: Dataset, facts: Facts) -> None:
    """Raise ContractBreach unless training is reproducible, and the module is frozen and in eval mode."""
    first, second = (fit_part(part, dataset, facts) for _ in range(2))
    same = first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    require(part, same, "the same fit must give the same weights")
