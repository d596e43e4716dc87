"""A part whose module is the network under a hash layer."""

from __future__ import annotations

from abc import abstractmethod

import torch

from retbench import Facts, Part, State
from retbench_hashers.backbones.features import Features


class Backbone(Part):
    """The network under a hash layer, with its initial weights.

    The names of its state are those of the `Features`.
    """

    @abstractmethod
    def build(self) -> Features:
        """Return the network with random weights from torch's global generator."""

    def features(self) -> Features:
        """Return the network on the meta device, without weights; no random number is drawn."""
        with torch.device("meta"):
            return self.build()

    def module(self, state: State, device: torch.device) -> Features:
        """Return the frozen features with these weights on `device`: float images (B, 3, H, W) to (B, width)."""
        features = self.features().to_empty(device=device)
        features.load_state_dict(state)
        return features.requires_grad_(False).eval()

    def supports(self, facts: Facts) -> str | None:
        side = self.features().min_side
        height, width = facts.image_size
        if min(height, width) < side:
            return f"images too small: got {height}x{width}, expected at least {side}x{side} pixels"
        return None
