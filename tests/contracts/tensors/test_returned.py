"""Tensors that components return are plain ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from retbench.contracts.tensors import check_shape, check_tensor, describe_component
from retbench.errors import ContractBreach
from retbench.testing.toys import ToyAttack

CPU = torch.device("cpu")
FLOAT = (torch.float32,)


class LoudTensor(Tensor):
    """Computes in its own way."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError("a check called a method of a tensor of another class")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "wrong type of images: got NoneType, expected a tensor"),
        (torch.ones(2).numpy(), "wrong type of images: got ndarray, expected a tensor"),
        (torch.Tensor._make_subclass(LoudTensor, torch.ones(2)), "wrong type of images: got LoudTensor"),
        (torch.eye(2).to_sparse(), "wrong layout of images: got torch.sparse_coo, expected a dense tensor"),
        (torch.eye(2).to_mkldnn(), "wrong layout of images: got torch._mkldnn, expected a dense tensor"),
        (torch.ones(2, dtype=torch.float16), "wrong dtype of images: got torch.float16, expected torch.float32"),
        (torch.ones(2, dtype=torch.complex64), "wrong dtype of images: got torch.complex64"),
        (torch.ones(2, device="meta"), "images on another device: got meta, expected cpu"),
    ],
    ids=["none", "numpy", "subclass", "sparse", "mkldnn", "half", "complex", "meta"],
)
def test_anything_but_a_plain_tensor_is_refused(value: Any, problem: str) -> None:
    with pytest.raises(ContractBreach, match=rf"^attack toy \(package retbench\): {problem}"):
        check_tensor(value, ToyAttack(), "images", FLOAT, CPU)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_a_nested_tensor_is_refused() -> None:
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    with pytest.raises(ContractBreach, match="wrong layout of images: got a nested tensor, expected a dense tensor"):
        check_tensor(nested, ToyAttack(), "images", FLOAT, CPU)


@pytest.mark.parametrize("value", [nn.Parameter(torch.ones(2)), torch.ones(2).requires_grad_() * 1])
def test_parameters_and_tensors_with_a_graph_become_plain_tensors(value: Tensor) -> None:
    checked = check_tensor(value, ToyAttack(), "images", FLOAT, CPU)
    assert type(checked) is Tensor
    assert not checked.requires_grad
    assert checked.grad_fn is None


def test_none_stands_for_any_size() -> None:
    check_shape(torch.ones(2, 5), ToyAttack(), "features", (2, None))
    for wrong in (torch.ones(3, 5), torch.ones(2), torch.ones(2, 5, 1)):
        with pytest.raises(ContractBreach, match=r"wrong shape of features: got .*, expected \(2, any\)"):
            check_shape(wrong, ToyAttack(), "features", (2, None))
    with pytest.raises(ContractBreach, match=r"got \(3,\), expected \(2,\)"):
        check_shape(torch.ones(3), ToyAttack(), "rows", (2,))


def test_messages_name_kind_name_and_package() -> None:
    assert describe_component(ToyAttack()) == "attack toy (package retbench)"
