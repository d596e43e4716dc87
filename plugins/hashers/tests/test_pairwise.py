"""Options, parts and the training that the pairwise hashers share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from retbench_hashers.conv import Conv
from retbench_hashers.dph import DPH
from retbench_hashers.dpsh import DPSH
from retbench_hashers.pairwise import PairwiseHasher
from torch import Tensor

from retbench import Context, Noise, OptionError, State, TrainingData, sign, unit_images
from retbench.testing.toys import ToyDataset

CPU = torch.device("cpu")
DATASET = ToyDataset(side=16)


def fit(hasher: PairwiseHasher, precision: Any = "float32") -> tuple[State, dict[str, Any]]:
    curves: dict[str, Any] = {}
    facts = replace(DATASET.facts(), bits=12)
    data = TrainingData(DATASET, facts, CPU)
    torch.manual_seed(0)
    warm = Conv(epochs=4, batch=8).fit(data, Context(CPU, precision, Noise(0, ("conv",))))
    context = Context(CPU, precision, Noise(0, ("fit",)), {"backbone": warm}, record=curves.__setitem__)
    return hasher.fit(data, context), curves


class Watched(DPSH):
    """Keeps what the loss was given."""

    seen: ClassVar[list[tuple[Tensor, Tensor, Tensor]]] = []

    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor:
        self.seen.append((outputs.detach(), rows, memory.clone()))
        return super().loss(outputs, labels, rows, memory)


def test_the_memory_starts_empty_and_takes_each_batch_before_its_loss() -> None:
    Watched.seen.clear()
    fit(Watched(epochs=1, batch=8))
    (first, rows, memory), *_, (_, _, full) = Watched.seen
    assert torch.equal(memory[rows], first)
    assert int(memory.any(dim=1).sum()) == len(rows)
    assert full.any(dim=1).all()
    assert not memory.requires_grad


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("hasher", [DPSH(epochs=8, batch=8), DPH(epochs=8, batch=8)], ids=str)
def test_codes_of_items_that_share_a_class_are_nearer(hasher: PairwiseHasher, precision: str) -> None:
    state, curves = fit(hasher, precision)
    labels = DATASET.labels("database")
    images = unit_images(DATASET.images("database", range(len(labels))), CPU)
    with torch.no_grad():
        codes = sign(hasher.network(state, CPU).eval().image(images)).float()
    related = labels.float() @ labels.T.float() > 0
    agreement = codes @ codes.T / codes.shape[1]
    assert agreement[related].mean() > agreement[~related].mean() + 0.3
    assert len(curves["loss"]) == 8


def test_the_backbone_is_trained_further_and_not_changed_in_place() -> None:
    data = TrainingData(DATASET, replace(DATASET.facts(), bits=12), CPU)
    warm = Conv().features().to_empty(device=CPU)
    for weight in warm.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    for buffer in warm.buffers():
        buffer.fill_(1)
    state = warm.state_dict()
    before = {name: tensor.clone() for name, tensor in state.items()}
    after = DPSH(epochs=1).fit(data, Context(CPU, "float32", Noise(0, ("fit",)), {"backbone": state}))
    assert all(torch.equal(before[name], state[name]) for name in state)
    assert not torch.equal(after["features.hidden.weight"], state["hidden.weight"])


def test_hashers_with_one_warm_up_share_it() -> None:
    facts = DATASET.facts()
    assert DPSH(epochs=3).parts(facts) == DPH(peak=1e-4).parts(facts)
    assert DPSH(warmup_epochs=3).parts(facts) != DPSH().parts(facts)


def test_images_that_vanish_in_the_backbone_are_refused() -> None:
    facts = replace(DATASET.facts(), image_size=(7, 32))
    assert "8 x 8 or larger" in (DPSH().supports(facts) or "")
    assert DPSH().supports(replace(facts, image_size=(8, 8))) is None


def test_an_unknown_backbone_is_an_option_error() -> None:
    with pytest.raises(OptionError, match="hasher dpsh: backbone"):
        DPSH.create({"backbone": "resnet"})
