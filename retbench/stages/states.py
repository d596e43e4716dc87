"""Load the trained states of hashers, attacks and purifiers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import nn

from retbench.canon import Json
from retbench.contracts import Attack, Hasher, HashNetwork, Purifier, State
from retbench.stages.check import RECORD_PREFIX
from retbench.stages.stage import Load

CAVEATS = "caveats"
"""The entry of an artifact's summary with the warnings of its fit about the numbers of all rows that depend on it."""


@dataclass(frozen=True)
class StateKeys:
    """Keys of the trained states of a component.

    Attributes:
        own: the key of its own fit; None without one.
        parts: the keys of its parts, by role.
    """

    own: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)

    def recipe(self) -> dict[str, Json]:
        """Return the keys as JSON."""
        return {"own": self.own, "parts": dict(self.parts)}

    def load(self, load: Load, device: torch.device) -> State:
        """Return the own state, and the states of the parts under `<role>/<name>`, on `device`."""
        state = _load_state(self.own, load, device) if self.own else {}
        for role, part in self.load_parts(load, device).items():
            state |= {f"{role}/{name}": tensor for name, tensor in part.items()}
        return state

    def load_parts(self, load: Load, device: torch.device) -> dict[str, State]:
        """Return the states of the parts by role, on `device`."""
        return {role: _load_state(key, load, device) for role, key in self.parts.items()}


class Victim(NamedTuple):
    """A trained hasher, which is attacked or encodes.

    Attributes:
        hasher: the component.
        weights: the key of its weights, after hardening if it is hardened.
        part_seed: the seed of its parts; None for a hardened hasher, whose cached part may have changed.
    """

    hasher: Hasher
    weights: str
    part_seed: int | None = None

    def state(self, load: Load, device: torch.device) -> State:
        """Return its weights on `device`."""
        return _load_state(self.weights, load, device)

    def network(self, load: Load, device: torch.device) -> HashNetwork:
        """Return its network on `device`: frozen, in eval mode, and in the faster channels-last layout."""
        network = self.hasher.network(self.state(load, device), device).to(device).eval().requires_grad_(False)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub omits the argument
        return network


def load_frozen(owner: Attack | Purifier, states: StateKeys, load: Load, device: torch.device) -> nn.Module:
    """Return the networks of an attack or a purifier on `device`, frozen and in eval mode."""
    return owner.module(states.load(load, device), device).to(device).eval().requires_grad_(False)


def _load_state(key: str, load: Load, device: torch.device) -> State:
    """Return the state of a fit on `device`, without the images that the fit recorded."""
    tensors = load(key).tensors
    return {name: tensor.to(device) for name, tensor in tensors.items() if not name.startswith(RECORD_PREFIX)}
