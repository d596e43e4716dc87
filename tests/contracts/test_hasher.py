"""From logits to codes."""

import pytest
import torch

from retbench.contracts import Hasher, HashNetwork, relax, sign
from retbench.testing.toys import ToyHasher, ToyPart


def test_a_zero_logit_of_either_sign_becomes_plus_one() -> None:
    codes = sign(torch.tensor([-1e-30, -0.0, 0.0, 1e-30, -torch.inf, torch.inf]))
    assert codes.tolist() == [-1, 1, 1, 1, -1, 1]
    assert codes.dtype == torch.int8


def test_no_logits_give_no_codes() -> None:
    assert sign(torch.empty(0, 8)).shape == (0, 8)


def test_nan_logits_are_rejected_and_counted() -> None:
    with pytest.raises(ValueError, match="sign: logits contain NaN: got 2, expected none"):
        sign(torch.tensor([[1.0, torch.nan], [torch.nan, 0.0]]))


def test_relaxed_codes_are_the_scaled_hyperbolic_tangent_with_a_gradient() -> None:
    logits = torch.tensor([-2.0, 0.0, 0.5], requires_grad=True)
    relaxed = relax(logits, 0.3)
    torch.testing.assert_close(relaxed, torch.tanh(torch.tensor([-0.6, 0.0, 0.15])))
    relaxed.sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(logits.grad, 0.3 * (1 - relaxed.detach() ** 2))
    assert torch.equal(relax(logits), torch.tanh(logits))


def test_a_network_that_lacks_a_modality_raises() -> None:
    with pytest.raises(LookupError, match="HashNetwork: it does not encode images"):
        HashNetwork().image(torch.zeros(1, 3, 2, 2))
    with pytest.raises(LookupError, match="HashNetwork: it does not encode texts"):
        HashNetwork().text(torch.zeros(1, 2))


def test_an_unsupervised_hasher_has_no_loss() -> None:
    nothing = torch.empty(0)
    with pytest.raises(LookupError, match="hasher toy: it has no supervised loss"):
        Hasher.loss(ToyHasher(), nothing, nothing, nothing, nothing)


def test_a_part_freezes_its_network() -> None:
    module = ToyPart().module({"mean": torch.ones(3)}, torch.device("cpu"))
    assert not module.training
    assert not any(weight.requires_grad for weight in module.parameters())
