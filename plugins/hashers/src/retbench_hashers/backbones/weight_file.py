"""Weight files of other programs, in safetensors or PyTorch format."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from retbench import State, match_weights, read_weights
from retbench_hashers.backbones.features import Features

SUFFIXES = (".pth", ".pt", ".safetensors")
BATCH_COUNTER = "num_batches_tracked"


class WeightFile(NamedTuple):
    """A state dict in a safetensors file, or in a PyTorch file without other pickled objects.

    Attributes:
        path: location of the file; the suffix determines the format.
        architecture: name of the expected network, for messages.
    """

    path: Path
    architecture: str

    def check(self, features: Features) -> None:
        """Check names and shapes of the weights in the file against `features`, without loading the weights.

        Raises:
            UserError: the file cannot be read, or holds pickled objects or the weights of another network.
        """
        self._match("meta", features)

    def read(self, features: Features) -> State:
        """Return the weights of `features`, float32 on the CPU, without those of the replaced last layer.

        Batch counters of batch normalizations, missing in files from before torch 0.4.1, start at zero.

        Raises:
            UserError: as `check` does; or a weight is NaN or infinite.
        """
        return self._match("cpu", features)

    def _match(self, device: str, features: Features) -> State:
        expected = features.state_dict()
        counters = {name: torch.zeros((), dtype=torch.int64) for name in expected if name.endswith(BATCH_COUNTER)}
        found = {**counters, **read_weights(self.path, device)}
        last_layer = (f"{features.replaced_layer}.",) if features.replaced_layer else ()
        return match_weights(
            found, expected, f"weights {self.path}: not the weights of {self.architecture}", last_layer
        )
