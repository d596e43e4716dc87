"""The network that a black-box attack receives answers and counts queries, and shows nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from retbench.contracts import Attack, Batch, Noise, Purifier, QueriedNetwork, relax, sign
from retbench.errors import ContractBreach
from retbench.stages.attacked_network import (
    AttackedPipeline,
    WhiteBoxNetwork,
    make_attacked_network,
    make_fitting_network,
)
from retbench.testing.toys import ToyAttack, ToyDecisionAttack, ToyHasher, ToyNetwork, ToyScoreAttack

IDS = ("a", "b", "c")
IMAGES = torch.rand(3, 3, 12, 12, generator=torch.Generator().manual_seed(1))
HASHER = ToyNetwork({"weight": torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), "mean": torch.zeros(3)})


class NoisyPurifier(Purifier):
    """Adds noise; no gradient passes."""

    name: ClassVar[str] = "noisy"
    source: ClassVar[str] = "made for tests"
    differentiable: ClassVar[bool] = False

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        return (images + 0.1 * noise.normal("jitter", tuple(images.shape[1:]))).clamp(0, 1).detach()


def open_network(attack: Attack, *, purified: bool = False, rows: slice = slice(None)) -> QueriedNetwork:
    """Return the network for a black-box attack on some of the three queries."""
    none = torch.zeros(len(IDS[rows]), 0)
    batch = Batch(IDS[rows], IMAGES[rows], none, none, none)
    pipeline = AttackedPipeline(HASHER, [(NoisyPurifier(), nn.Module())] if purified else [])
    network = make_attacked_network(attack, pipeline, batch, Noise(0, batch.ids).derive("attacker"), 0)
    assert isinstance(network, QueriedNetwork)
    return network


def test_score_access_gives_relaxed_codes_without_gradients() -> None:
    answers = open_network(ToyScoreAttack()).image(IMAGES)
    assert torch.equal(answers, relax(HASHER.image(IMAGES)).detach())
    assert (answers.dtype, answers.requires_grad, answers.grad_fn) == (torch.float32, False, None)


def test_decision_access_gives_binary_codes() -> None:
    answers = open_network(ToyDecisionAttack()).image(IMAGES)
    assert torch.equal(answers, sign(HASHER.image(IMAGES)).float())


def open_white_box() -> WhiteBoxNetwork:
    none = torch.zeros(3, 0)
    batch = Batch(IDS, IMAGES, none, none, none)
    network = make_attacked_network(ToyAttack(), AttackedPipeline(HASHER), batch, Noise(0, IDS), 0)
    assert isinstance(network, WhiteBoxNetwork)
    return network


def test_gradient_access_gives_the_network_with_its_weights() -> None:
    network = open_white_box()
    assert torch.equal(network.image(IMAGES), HASHER.image(IMAGES))
    assert network.network is HASHER
    assert {id(each) for each in network.parameters()} == {id(each) for each in HASHER.parameters()}
    assert network.training == HASHER.training
    assert make_fitting_network(ToyAttack(), "gradient", HASHER) is HASHER


@pytest.mark.parametrize("copies", [1, 3])
def test_a_white_box_network_observes_which_gradients_are_zero(copies: int) -> None:
    network = open_white_box()
    assert network.gradients.tolist() == [-1, -1, -1]
    images = IMAGES.repeat(copies, 1, 1, 1).requires_grad_()
    (network.image(images).sum(1) * torch.tensor([0.0, 2.0, 0.0]).repeat(copies)).sum().backward()
    assert network.gradients.tolist() == [0, 1, 0]
    (network.image(images).sum(1) * torch.tensor([1.0, 0.0, 0.0]).repeat(copies)).sum().backward()
    network.image(IMAGES)  # without a gradient
    assert network.gradients.tolist() == [1, 1, 0]


def test_gradients_of_other_images_than_the_batch_count_for_all_queries() -> None:
    network = open_white_box()
    network.image(IMAGES[:2].clone().requires_grad_()).sum().backward()
    assert network.gradients.tolist() == [1, 1, 1]


def test_the_gradient_through_an_intermediate_tensor_is_observed() -> None:
    network, delta = open_white_box(), torch.zeros_like(IMAGES).requires_grad_()
    torch.autograd.grad((network.image(IMAGES + delta) * 0).sum(), delta)
    assert network.gradients.tolist() == [0, 0, 0]


def test_every_image_counts_for_its_query() -> None:
    network = open_network(ToyScoreAttack(query_budget=10))
    network.image(IMAGES)
    network.image(IMAGES.repeat(2, 1, 1, 1))  # two copies of the batch, copy after copy
    network.query(IMAGES[[2, 2, 0]], torch.tensor([2, 2, 0]))
    assert network.used.tolist() == [4, 3, 5]
    assert network.remaining.tolist() == [6, 7, 5]
    network.query(IMAGES[:0], torch.zeros(0, dtype=torch.int64))
    assert network.image(IMAGES[:0]).shape == (0, 8)
    assert network.used.tolist() == [4, 3, 5]


def test_a_query_beyond_the_budget_is_refused_before_it_is_answered() -> None:
    network = open_network(ToyScoreAttack(query_budget=2))
    network.image(IMAGES.repeat(2, 1, 1, 1))
    for query in (lambda: network.image(IMAGES), lambda: network.query(IMAGES[1:2], torch.tensor([1]))):
        with pytest.raises(ContractBreach, match=r"it used 3 queries for query [ab]: expected at most query_budget=2"):
            query()
    assert network.used.tolist() == [2, 2, 2]


def test_counts_and_remaining_queries_are_copies() -> None:
    network = open_network(ToyScoreAttack(query_budget=1))
    network.used.fill_(-5)
    network.remaining.fill_(99)
    network.image(IMAGES)
    assert network.used.tolist() == [1, 1, 1]
    duplicate = copy.deepcopy(network)
    with pytest.raises(ContractBreach, match="it used 2 queries for query a"):
        duplicate.image(IMAGES)


@pytest.mark.parametrize("purified", [False, True])
def test_answers_and_counts_do_not_depend_on_the_batch_or_the_grouping_of_queries(purified: bool) -> None:
    attack = ToyScoreAttack(query_budget=4)
    together = open_network(attack, purified=purified)
    copies = together.image(IMAGES.repeat(3, 1, 1, 1)).reshape(3, 3, 8)
    for at in range(3):
        alone = open_network(attack, purified=purified, rows=slice(at, at + 1))
        answers = torch.cat([alone.image(IMAGES[at : at + 1]) for _ in range(3)])
        torch.testing.assert_close(answers, copies[:, at])
        assert alone.used.tolist() == [3]


def test_each_query_passes_the_purifiers_with_new_noise_unknown_to_the_attacker() -> None:
    answers = open_network(ToyScoreAttack(), purified=True).image(IMAGES.repeat(2, 1, 1, 1))
    assert not torch.equal(answers[:3], answers[3:])
    purify, attacker = NoisyPurifier().purify, Noise(0, IDS).derive("attacker")
    for guess in (attacker, attacker.derive("purifier"), attacker.derive("queried"), attacker.copy(1)):
        for noise in (guess, guess.draws((0, 1, 2), (0, 0, 0))):
            assert not torch.allclose(relax(HASHER.image(purify(IMAGES, nn.Module(), noise))), answers[:3])


def transform(images: Tensor, network: QueriedNetwork) -> Tensor:
    """Query a batch as one image of `torch.func.vmap`."""
    return torch.func.vmap(lambda image: network.query(image[None], torch.tensor([0])))(images)


@pytest.mark.parametrize(
    ("misuse", "problem"),
    [
        (lambda network: network.image(IMAGES.clone().requires_grad_()), "images that require gradients"),
        (lambda network: network.image(IMAGES[:2]), "got 2, expected a multiple of the 3 of the batch"),
        (lambda network: network.image(IMAGES[:, :1]), "wrong shape of queried images"),
        (lambda network: network.image(IMAGES.double()), "wrong dtype of queried images"),
        (lambda network: network.image(IMAGES.tolist()), "wrong type of queried images: got list"),
        (lambda network: network.image(IMAGES + 1), "out of range"),
        (lambda network: network.image(IMAGES * torch.nan), "NaN or infinity"),
        (
            lambda network: network.query(IMAGES, torch.tensor([0, 1, 3])),
            "outside the batch: got 0 to 3",
        ),
        (lambda network: network.query(IMAGES, torch.tensor([0, -1, 1])), "outside the batch: got -1 to 1"),
        (lambda network: network.query(IMAGES, torch.tensor([0, 1])), "wrong shape of rows of queried images"),
        (lambda network: network.query(IMAGES, torch.tensor([0.0, 1.0, 2.0])), "wrong dtype of rows"),
        (lambda network: network.query(IMAGES, [0, 1, 2]), "wrong type of rows"),
        (lambda network: transform(IMAGES, network), "inside a transform of torch.func"),
        (lambda network: network.text(torch.zeros(3, 3)), "it used network.text: got access score"),
        (lambda network: network.from_features(torch.zeros(3, 3)), "it used network.from_features"),
        (lambda network: next(network.parameters()), "it used network.parameters"),
        (lambda network: dict(network.named_parameters()), "it used network.named_parameters"),
        (lambda network: network.state_dict(), "it used network.state_dict"),
    ],
)
def test_other_uses_are_breaches_that_count_nothing(misuse: Callable[[Any], Any], problem: str) -> None:
    network = open_network(ToyScoreAttack())
    with pytest.raises(ContractBreach, match=problem):
        misuse(network)
    assert network.used.tolist() == [0, 0, 0]


@pytest.mark.parametrize("purified", [False, True])
def test_no_attribute_or_submodule_leads_to_the_attacked_network(purified: bool) -> None:
    network = open_network(ToyScoreAttack(), purified=purified)
    assert list(network.modules()) == [network]
    assert [*network.children(), *network.buffers()] == []
    held = [value for value in vars(network).values() if isinstance(value, nn.Module | Tensor | AttackedPipeline)]
    assert held == []
    assert all(getattr(value, "__self__", None) is not HASHER for value in vars(network).values())
    for name in ("network", "pipeline", "hasher", "weight"):
        assert not hasattr(network, name)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch's own use of it
def test_forward_mode_derivatives_are_closed() -> None:
    network = open_network(ToyScoreAttack())
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(IMAGES, torch.ones_like(IMAGES))
        assert torch.autograd.forward_ad.unpack_dual(relax(HASHER.image(dual))).tangent is not None
        assert torch.autograd.forward_ad.unpack_dual(network.image(dual)).tangent is None


def test_a_network_in_fit_answers_no_query() -> None:
    network = make_fitting_network(ToyScoreAttack(), "score", HASHER)
    assert isinstance(network, QueriedNetwork)
    assert (network.used.tolist(), network.remaining.tolist()) == ([], [])
    for query in (lambda: network.image(IMAGES), lambda: network.query(IMAGES, torch.arange(3))):
        with pytest.raises(ContractBreach, match="it queried the network in fit: got access score"):
            query()


class NanPurifier(NoisyPurifier):
    """Returns NaN, as one does that divides by zero."""

    name: ClassVar[str] = "nan"

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        return images * torch.nan


class NanNetwork(ToyNetwork):
    """Has NaN among its logits."""

    def image(self, images: Tensor) -> Tensor:
        return super().image(images) * torch.nan


@pytest.mark.parametrize("attack", [ToyScoreAttack(), ToyDecisionAttack()], ids=str)
def test_nan_never_reaches_a_black_box_attack_and_is_that_of_its_source(attack: Attack) -> None:
    none = torch.zeros(len(IDS), 0)
    batch = Batch(IDS, IMAGES, none, none, none)
    broken = NanNetwork(HASHER.state_dict())
    for pipeline, culprit in (
        (AttackedPipeline(HASHER, [(NanPurifier(), nn.Module())], ToyHasher()), "defense nan"),
        (AttackedPipeline(broken, (), ToyHasher()), "hasher toy"),
    ):
        network = make_attacked_network(attack, pipeline, batch, Noise(0, IDS).derive("attacker"), 0)
        with pytest.raises(ContractBreach, match=rf"^{culprit} .*: NaN or infinity"):
            network.image(IMAGES)
