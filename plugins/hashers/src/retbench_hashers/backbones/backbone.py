"""A part whose module is the network under a hash layer."""

from __future__ import annotations

from abc import abstractmethod

import torch

from retbench import Facts, Part, State
from retbench_hashers.backbones.features import Features


class Backbone(Part):
    """Features with the weights that a hasher's training starts from.

    Its state holds the weights under the names of its `Features`.
    """

    @abstractmethod
    def build(self) -> Features:
        """Return the network, its weights fresh from torch's global generator."""

    def features(self) -> Features:
        """Return the network without weights, on the meta device: nothing is initialized, no random number drawn."""
        with torch.device("meta"):
            return self.build()

    def module(self, state: State, device: torch.device) -> Features:
        """Return the frozen features with these weights on `device`: float images (B, 3, H, W) to (B, width)."""
        features = self.features().to_empty(device=device)
        features.load_state_dict(state)
        return features.requires_grad_(False).eval()

    def supports(self, facts: Facts) -> str | None:
        side = self.features().smallest_side
        height, width = facts.image_size
        if min(height, width) < side:
            return f"nothing is left of images of {height} x {width}; take images of {side} x {side} or larger"
        return None
