"""The trained states that a component works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import nn

from retbench.canon import Json
from retbench.contracts import Attack, Hasher, HashNetwork, Purifier, State
from retbench.stages.stage import Load

RECORDED = "record/"
"""How the names of recorded pictures begin among an artifact's tensors."""


@dataclass(frozen=True)
class States:
    """Keys of a component's own fit, where it has one, and of its parts, by role."""

    own: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)

    def recipe(self) -> dict[str, Json]:
        """Return the keys as JSON."""
        return {"own": self.own, "parts": dict(self.parts)}

    def load(self, load: Load, device: torch.device) -> State:
        """Return the own state, and the parts' under `<role>/<name>`, on `device`."""
        state = _on(dict(load(self.own).tensors), device) if self.own else {}
        for role, part in self.load_parts(load, device).items():
            state |= {f"{role}/{name}": tensor for name, tensor in part.items()}
        return state

    def load_parts(self, load: Load, device: torch.device) -> dict[str, State]:
        """Return the parts' states by role, on `device`."""
        return {role: _on(dict(load(key).tensors), device) for role, key in self.parts.items()}


class Victim(NamedTuple):
    """A trained hasher: the component and the key of its weights (hardened, where it is).

    Attributes:
        hasher: the component.
        weights: the key.
        part_seed: seed of its parts, while its cached part's features are its own; None for a hardened one, whose
            weights may have moved.
    """

    hasher: Hasher
    weights: str
    part_seed: int | None = None

    def state(self, load: Load, device: torch.device) -> State:
        """Return its weights on `device`."""
        return _on(dict(load(self.weights).tensors), device)

    def network(self, load: Load, device: torch.device) -> HashNetwork:
        """Return its network, frozen, in eval mode, channels last: the input gradient is the same, and cheaper."""
        network = self.hasher.network(self.state(load, device), device).to(device).eval().requires_grad_(False)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub omits the argument
        return network


def frozen(owner: Attack | Purifier, states: States, load: Load, device: torch.device) -> nn.Module:
    """Return the networks of an attack or a purifier, frozen and in eval mode, on `device`."""
    return owner.module(states.load(load, device), device).to(device).eval().requires_grad_(False)


def _on(tensors: State, device: torch.device) -> State:
    """Return a fit's state on `device`: what it recorded beside lies in the same artifact, and is no part of it."""
    return {name: tensor.to(device) for name, tensor in tensors.items() if not name.startswith(RECORDED)}
