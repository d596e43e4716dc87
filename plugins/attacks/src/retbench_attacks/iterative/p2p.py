"""The point-to-point attack.

Bai, Chen, Li, Wu, Guo, Xia and Yang 2020, "Targeted Attack for Deep Hashing based Retrieval", ECCV.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from retbench import Batch, Knowledge, Need, Noise
from retbench_attacks.iterative.anchor import compute_majority_codes
from retbench_attacks.iterative.hamming_descent import HammingDescent


class P2P(HammingDescent):
    """Moves the code of a query to that of one database item with exactly the target's labels, drawn per query."""

    name: ClassVar[str] = "p2p"
    source: ClassVar[str] = "Bai et al. 2020, point-to-point; 500 steps as in RetPur, section 4.1"
    needs: ClassVar[frozenset[Need]] = frozenset({"database_labels", "database_codes"})

    steps: int = Field(500, ge=1, le=100_000, description="gradient steps")

    def compute_anchors(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        labels, codes = knowledge.grant("database_labels"), knowledge.grant("database_codes")
        return compute_majority_codes(
            batch.target_labels, labels, codes, noise.uniform("anchor", (1,)), replacement=True
        )
