"""The deep hashing targeted attack.

Bai, Chen, Li, Wu, Guo, Xia and Yang 2020, "Targeted Attack for Deep Hashing based Retrieval", ECCV.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from retbench import Batch, Knowledge, Need, Noise
from retbench_attacks.iterative.anchor import compute_majority_codes
from retbench_attacks.iterative.hamming_descent import HammingDescent


class DHTA(HammingDescent):
    """Moves the code of a query to the majority vote of several database codes with exactly the target's labels.

    Bai et al. draw the items without replacement; the codes of ProS-GAN, ATRDH and SAAT draw with replacement, as the
    default here.
    """

    name: ClassVar[str] = "dhta"
    source: ClassVar[str] = "Bai et al. 2020, point-to-set with component voting; 2000 steps as in RetPur, section 4.1"
    needs: ClassVar[frozenset[Need]] = frozenset({"database_labels", "database_codes"})

    anchors: int = Field(9, ge=1, le=10_000, description="database codes in the vote for each anchor code (n_t)")
    replacement: bool = Field(True, description="whether a database item may be drawn for several votes")

    def compute_anchors(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        labels, codes = knowledge.grant("database_labels"), knowledge.grant("database_codes")
        draws = noise.uniform("anchor", (self.anchors,))
        return compute_majority_codes(batch.target_labels, labels, codes, draws, self.replacement)
