"""THA and the codes of its prototype network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from retbench_attacks.iterative.tha import THA
from retbench_attacks.prototypes.prototype_network import PrototypeNetwork
from retbench_attacks.prototypes.tha_prototypes import ThaPrototypes

from retbench import Ball, Batch, Knowledge, Noise, State, part_state, sign

CPU = torch.device("cpu")


def draw_state(bits: int) -> State:
    torch.manual_seed(0)
    network = PrototypeNetwork(3, bits, hidden=16, semantic=8, reconstruct=False)
    return {f"prototypes/{name}": weight for name, weight in network.state_dict().items()}


def test_anchor_is_the_sign_of_the_prototype_code(knowledge: Knowledge, queries: Callable[[int], Batch]) -> None:
    batch, state = queries(6), draw_state(8)
    network = ThaPrototypes().module(part_state(state, "prototypes"), CPU)
    anchors = THA().compute_anchors(knowledge, batch, THA().module(state, CPU), Noise(0, batch.ids))
    assert torch.equal(anchors, sign(network(batch.target_labels.float()).codes))
    assert len(anchors.unique(dim=0)) == 3, "one anchor per label vector"


def test_codes_move_towards_the_anchors(knowledge: Knowledge, queries: Callable[[int], Batch]) -> None:
    attack, batch = THA(steps=30, eps=0.2, alpha_value=0.1), queries(8)
    module, noise = attack.module(draw_state(8), CPU), Noise(0, batch.ids)
    anchors = attack.compute_anchors(knowledge, batch, module, noise)
    images = attack.perturb(knowledge, batch, module, noise)

    def agreement(pixels: Any) -> float:
        return float((sign(knowledge.network.image(pixels)) == anchors).float().mean())

    assert agreement(images) > agreement(batch.images) + 0.2


def test_prototype_network_is_a_part() -> None:
    prototypes = ThaPrototypes(steps=7)
    assert THA(prototypes=prototypes).parts(None) == {"prototypes": prototypes}  # type: ignore[arg-type]  # not read


def test_the_defaults_are_the_published_ones() -> None:
    attack = THA()
    assert (attack.steps, attack.ball, attack.update, attack.alpha) == (100, Ball("linf", 8 / 255), "sign", "constant")
    assert (attack.alpha_value, attack.random_start, attack.goal) == (1.0, False, "targeted")
