"""Targeted hashing attack: descent towards the code that a prototype network has learned for the target's labels.

Wang, Zhang, Lu and Xu 2021, "Targeted Attack and Defense for Deep Hashing", SIGIR.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from retbench import AttackPart, Batch, Facts, Knowledge, Noise, State, part_state, sign
from retbench_attacks.iterative.annealing import Annealing
from retbench_attacks.iterative.hamming_descent import HammingDescent
from retbench_attacks.prototypes.tha_prototypes import ThaPrototypes


class THA(HammingDescent):
    """Moves the code of a query to the prototype code of its target labels. SAAT's code uses `{alpha: relative}`."""

    name: ClassVar[str] = "tha"
    source: ClassVar[str] = "Wang et al. 2021 (SIGIR); 100 steps of 1/255 as in the codes of ATRDH and SAAT"

    steps: int = Field(100, ge=1, le=100_000, description="gradient steps")
    alpha: Annealing = Field(
        "constant",
        description="schedule of tanh's slope: constant, by step number (absolute), or by fraction of steps (relative)",
    )
    prototypes: ThaPrototypes = Field(ThaPrototypes(), description="the prototype network and its training")

    def parts(self, facts: Facts) -> dict[str, AttackPart]:
        return {"prototypes": self.prototypes}

    def module(self, state: State, device: torch.device) -> nn.Module:
        return self.prototypes.module(part_state(state, "prototypes"), device)

    def compute_anchors(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        with torch.no_grad():
            return sign(module(batch.target_labels.float()).codes)
