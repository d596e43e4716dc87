"""Weights of other programs: what is read, what is compared, and the messages for wrong files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from retbench import State, UserError, load_weights, match_weights, read_weights

SOURCE = "weights net.pth: not the weights of small"


class Small(nn.Module):
    """A layer, a normalization and an integer buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.norm = nn.BatchNorm1d(3)


def with_value(state: State, name: str, value: float) -> State:
    changed = state[name].clone()
    changed.view(-1)[-1] = value
    return {**state, name: changed}


def without(state: State, *names: str) -> State:
    return {name: tensor for name, tensor in state.items() if name not in names}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: without(state, "first.bias"), "missing first.bias"),
        (lambda state: without(state, "first.bias", "norm.bias"), "missing first.bias and 1 more"),
        (lambda state: {**state, "extra": torch.ones(1)}, "unexpected extra"),
        (
            lambda state: {**state, "first.bias": torch.ones(1, 3)},
            "wrong shape of first.bias (got (1, 3), expected (3,))",
        ),
        (
            lambda state: {**state, "first.bias": torch.ones(3, dtype=torch.int8)},
            "wrong type of first.bias (got int8, expected floating-point numbers)",
        ),
        (
            lambda state: {**state, "first.bias": torch.ones(3, dtype=torch.complex64)},
            "wrong type of first.bias (got complex64, expected floating-point numbers)",
        ),
        (
            lambda state: {**state, "first.weight": torch.ones(3, 2).to_sparse()},
            "wrong type of first.weight (got sparse_coo, expected floating-point numbers)",
        ),
        (
            lambda state: {**state, "norm.num_batches_tracked": torch.tensor(0.5)},
            "wrong type of norm.num_batches_tracked (got float32, expected integers)",
        ),
        (lambda state: with_value(state, "first.weight", float("nan")), "NaN or infinity in first.weight"),
        (lambda state: with_value(state, "norm.running_var", float("inf")), "NaN or infinity in norm.running_var"),
        (
            lambda state: {**state, "first.bias": torch.full((3,), 1e300, dtype=torch.float64)},
            "NaN or infinity in first.bias",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_change_nothing(change: Callable[[State], State], problem: str) -> None:
    network, expected = Small(), Small().state_dict()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(UserError, match=f"^{re.escape(f'{SOURCE}: {problem}')}$"):
        load_weights(network, change(expected), SOURCE)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_complete_state_is_loaded_in_the_types_of_the_network(device: str) -> None:
    published = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in small_state()}
    with torch.device(device):
        network = Small()
    load_weights(network, published, SOURCE)
    loaded = network.state_dict()
    assert {tensor.dtype for tensor in loaded.values()} == {torch.float32, torch.int64}
    assert all(torch.equal(tensor.to(published[name].dtype), published[name]) for name, tensor in loaded.items())


def small_state() -> list[tuple[str, Tensor]]:
    torch.manual_seed(0)
    return list(Small().state_dict().items())


def test_only_names_listed_as_ignored_may_be_surplus() -> None:
    expected = Small().state_dict()
    found = {**expected, "top.weight": torch.ones(1), "top.bias": torch.ones(1), "topmost": torch.ones(1)}
    assert match_weights(without(found, "topmost"), expected, SOURCE, ("top.",)).keys() == expected.keys()
    with pytest.raises(UserError, match=r"unexpected topmost$"):
        match_weights(found, expected, SOURCE, ("top.",))
    with pytest.raises(UserError, match=r"unexpected top\.weight and 1 more$"):
        match_weights(found, expected, SOURCE, ("top", "topmost"))


def save(path: Path, content: Any) -> Path:
    save_file(content, path) if path.suffix == ".safetensors" else torch.save(content, path)
    return path


@pytest.mark.parametrize("name", ["net.safetensors", "net.pth"])
def test_names_shapes_and_types_are_read_without_the_weights(name: str, tmp_path: Path) -> None:
    content = {**Small().state_dict(), "half": torch.ones(2, dtype=torch.float16)}
    found = read_weights(save(tmp_path / name, content), "meta")
    assert {tensor.device.type for tensor in found.values()} == {"meta"}
    read = {name: (tensor.shape, tensor.dtype) for name, tensor in found.items()}
    assert read == {name: (tensor.shape, tensor.dtype) for name, tensor in content.items()}


def test_files_from_before_the_zip_format_are_read(tmp_path: Path) -> None:
    state = Small().state_dict()
    torch.save(state, tmp_path / "net.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(read_weights(tmp_path / "net.pth")["first.weight"], state["first.weight"])


@pytest.mark.parametrize("name", ["net.safetensors", "net.pth", "net.bin"])
def test_a_web_page_in_place_of_a_file_is_one_clear_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("\n<!DOCTYPE html><html><body>Sign in</body></html>")
    expected = f"weights {path}: not a PyTorch or safetensors file, or damaged: got a web page; download it again"
    with pytest.raises(UserError, match=f"^{re.escape(expected)}$"):
        read_weights(path)


@pytest.mark.parametrize("name", ["net.safetensors", "net.pth"])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_truncated_file_is_one_clear_line(name: str, device: str, tmp_path: Path) -> None:
    path = save(tmp_path / name, Small().state_dict())
    path.write_bytes(path.read_bytes()[:-30])
    message = r"^weights .*: not a PyTorch or safetensors file, or damaged: got \w+; download it again$"
    with pytest.raises(UserError, match=message):
        read_weights(path, device)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"contains pickled code: got torch\.nn\.modules\.linear\.Linear"):
        read_weights(save(tmp_path / "net.pth", nn.Linear(1, 1)))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({1: torch.ones(1)}, "not a state dict: got int at 1, expected a name"),
        ({"a": torch.ones(1, device="meta")}, "a has a shape and no numbers: it was saved on the meta device"),
    ],
    ids=["number", "meta"],
)
def test_names_are_texts_and_tensors_have_numbers(content: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(problem)):
        read_weights(save(tmp_path / "net.pth", content))


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (torch.ones(1, dtype=torch.complex64), "got complex64, expected integers"),
        (torch.tensor([300]), "got integers out of the range of uint8"),
        (torch.tensor([-1]), "got integers out of the range of uint8"),
    ],
    ids=["complex", "large", "negative"],
)
def test_numbers_that_would_change_in_the_type_of_the_network_are_refused(found: Tensor, problem: str) -> None:
    expected = {"a": torch.ones(1, dtype=torch.uint8)}
    with pytest.raises(UserError, match=rf"wrong type of a \({problem}\)$"):
        match_weights({"a": found}, expected, SOURCE)
    assert torch.equal(match_weights({"a": torch.tensor([200])}, expected, SOURCE)["a"], torch.tensor([200]).byte())


def test_a_full_memory_is_no_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch, "load", run_out)
    with pytest.raises(torch.OutOfMemoryError):
        read_weights(save(tmp_path / "net.pth", Small().state_dict()))
