"""Weight files of other programs: reading them, and the messages for wrong files."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from retbench_hashers.backbones.features import Features
from retbench_hashers.backbones.weight_file import WeightFile
from safetensors.torch import save_file
from torch import Tensor, nn

from retbench import State, UserError


class Small(Features):
    """A network of one layer and a normalization, without its last layer."""

    width = 3
    min_side = 1
    replaced_layer = "top"

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.norm = nn.BatchNorm1d(3)


@pytest.fixture
def published() -> State:
    """Return published weights, with the last layer."""
    return {**Small().state_dict(), "top.weight": torch.ones(5, 3), "top.bias": torch.ones(5)}


def save(path: Path, content: Any) -> WeightFile:
    save_file(content, path) if path.suffix == ".safetensors" else torch.save(content, path)
    return WeightFile(path, "small")


def read_error(file: WeightFile) -> str:
    """Return the message for a file, the same from `check` and `read`."""
    with pytest.raises(UserError) as checked:
        file.check(Small())
    with pytest.raises(UserError) as read:
        file.read(Small())
    assert str(checked.value) == str(read.value)
    location, _, message = str(read.value).partition(": ")
    assert location == f"weights {file.path}"
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.safetensors"])
def test_the_last_layer_is_not_read(tmp_path: Path, published: State, name: str) -> None:
    file = save(tmp_path / name, published)
    file.check(Small())
    state = file.read(Small())
    assert state.keys() == Small().state_dict().keys()
    assert all(torch.equal(tensor, published[name]) for name, tensor in state.items())


def test_a_file_without_the_last_layer_is_read(tmp_path: Path, published: State) -> None:
    del published["top.weight"], published["top.bias"]
    assert save(tmp_path / "w.pth", published).read(Small()).keys() == published.keys()


def test_half_precision_becomes_float32_and_missing_batch_counters_zero(tmp_path: Path, published: State) -> None:
    half = {name: tensor.half() for name, tensor in published.items() if not name.endswith("num_batches_tracked")}
    file = save(tmp_path / "w.pth", half)
    file.check(Small())
    state = file.read(Small())
    assert {tensor.dtype for name, tensor in state.items() if not name.startswith("norm.num")} == {torch.float32}
    assert torch.equal(state["norm.num_batches_tracked"], torch.tensor(0))


def test_missing_unexpected_and_wrong_weights_are_listed(tmp_path: Path, published: State) -> None:
    other = {**published, "first.weight": torch.ones(3, 7), "extra.a": torch.ones(1), "extra.b": torch.ones(1)}
    del other["first.bias"]
    assert read_error(save(tmp_path / "w.pth", other)) == (
        "not the weights of small: missing first.bias; unexpected extra.a and 1 more; "
        "wrong shape of first.weight (got (3, 7), expected (3, 2))"
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            {"state_dict": {"first.weight": torch.ones(1)}},
            "not a state dict: got dict at 'state_dict', expected a tensor",
        ),
        (torch.ones(3), "not a state dict: got Tensor, expected names and tensors"),
        (
            {"at": datetime.timedelta(1)},
            "contains pickled code: got datetime.timedelta, expected names and tensors only",
        ),
        (
            nn.Linear(1, 1),
            "contains pickled code: got torch.nn.modules.linear.Linear, expected names and tensors only",
        ),
    ],
    ids=["nested", "a tensor", "an object", "a whole module"],
)
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: object, expected: str) -> None:
    assert read_error(save(tmp_path / "w.pth", content)) == expected


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("kept", [0, 7, 200, -20], ids=["empty", "first bytes", "header", "without the end"])
def test_a_damaged_file_is_refused(tmp_path: Path, published: State, name: str, kept: int) -> None:
    file = save(tmp_path / name, published)
    file.path.write_bytes(file.path.read_bytes()[:kept])
    assert read_error(file).startswith("not a PyTorch or safetensors file, or damaged: got ")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_missing_file_is_reported(tmp_path: Path, name: str) -> None:
    assert read_error(WeightFile(tmp_path / name, "small")) == "no such file"


def test_check_loads_no_tensor_data(tmp_path: Path, published: State, monkeypatch: pytest.MonkeyPatch) -> None:
    devices: list[str] = []
    file = save(tmp_path / "w.pth", published)
    load = torch.load

    def record_devices(*args: Any, **options: Any) -> dict[str, Tensor]:
        found: dict[str, Tensor] = load(*args, **options)
        devices.extend(tensor.device.type for tensor in found.values())
        return found

    monkeypatch.setattr(torch, "load", record_devices)
    file.check(Small())
    assert set(devices) == {"meta"}
