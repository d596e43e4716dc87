"""Load the trained states of hashers, attacks and purifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import nn

from retbench.canon import Json
from retbench.contracts import Attack, AttackPart, Hasher, HashNetwork, Part, Purifier, State
from retbench.contracts.tensors import contract_breach
from retbench.stages.check import RECORD_PREFIX
from retbench.stages.isolation import isolate
from retbench.stages.stage import Load

WARNINGS = "warnings"
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
        network = build_network(self.hasher, self.state(load, device), device)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub omits the argument
        return network


def load_frozen(
    owner: Attack | Purifier | Part,
    states: StateKeys,
    load: Load,
    device: torch.device,
    reserved_ids: Sequence[str] = (),
) -> nn.Module:
    """Return the networks of a component on `device`, frozen and in eval mode; the state is read for it alone.

    Args:
        owner: the component.
        states: the keys of its states.
        load: returns an artifact by key.
        device: the device of the networks.
        reserved_ids: ids for which the component must not make its own `Noise`.
    """
    module = build_module(owner, states.load(load, device), device, reserved_ids)
    return module.to(device).eval().requires_grad_(False)


def build_module(
    owner: Attack | AttackPart | Purifier | Part, state: State, device: torch.device, reserved_ids: Sequence[str] = ()
) -> nn.Module:
    """Return the networks that a component makes of a state, as it returns them.

    Raises:
        ContractBreach: they are no module, or the component changed a setting or made noise for a reserved id.
    """
    with isolate(owner, {}, reserved_ids):
        module: object = owner.module(state, device)
    if not isinstance(module, nn.Module):
        raise contract_breach(owner, f"wrong type of module: got {type(module).__name__}, expected a torch.nn.Module")
    return module


def build_network(hasher: Hasher, state: State, device: torch.device) -> HashNetwork:
    """Return the network that a hasher makes of a state, on `device`, frozen and in eval mode.

    Raises:
        ContractBreach: it is no `HashNetwork`, or the hasher changed a setting.
    """
    with isolate(hasher, {}):
        network: object = hasher.network(state, device)
    if not isinstance(network, HashNetwork):
        raise contract_breach(hasher, f"wrong type of network: got {type(network).__name__}, expected a HashNetwork")
    return network.to(device).eval().requires_grad_(False)


def _load_state(key: str, load: Load, device: torch.device) -> State:
    """Return the state of a fit on `device`, without the images that the fit recorded.

    Its order is that of the names, because safetensors returns the tensors of a file in any order.
    """
    tensors = sorted(load(key).tensors.items())
    return {name: tensor.to(device) for name, tensor in tensors if not name.startswith(RECORD_PREFIX)}
