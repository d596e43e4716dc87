"""Files of MatConvNet in its three layouts: the tensors that are read, and the errors for files that do not fit."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from retbench_hashers.backbones import matconvnet_file
from retbench_hashers.backbones.features import Features
from retbench_hashers.backbones.matconvnet_file import MatConvNetFile
from scipy.io import loadmat, savemat
from torch import Tensor, nn

from retbench import State, UserError

Struct = dict[str, Any]
"""What `savemat` writes as a struct of one element."""


class Small(Features):
    """Two layers under MatConvNet's names; no two sides are alike, so that a swapped axis shows."""

    width = 7
    smallest_side = 1
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.empty(3, 5, 4))
        self.conv1 = nn.Conv2d(3, 6, kernel_size=(2, 9))
        self.fc7 = nn.Conv2d(6, 7, kernel_size=1)


@pytest.fixture
def state() -> State:
    torch.manual_seed(0)
    colors = torch.tensor([122.7, 116.7, 104.0]).reshape(3, 1, 1)
    return {**Small().state_dict(), "mean": colors + torch.randn(3, 5, 4)}


def cell(*values: Any) -> np.ndarray[Any, Any]:
    """Return what `savemat` writes as a cell array of one row."""
    row = np.empty((1, len(values)), dtype=object)
    for column, value in enumerate(values):
        row[0, column] = value
    return row


def weights(state: State, layer: str) -> np.ndarray[Any, Any]:
    kernel, bias = state[f"{layer}.weight"].numpy(), state[f"{layer}.bias"].numpy()
    return cell(kernel.transpose(2, 3, 1, 0), bias[:, None])


def mean_image(state: State) -> np.ndarray[Any, Any]:
    return state["mean"].numpy().transpose(1, 2, 0)


def pads(*sides: int) -> np.ndarray[Any, Any]:
    return np.array([sides], dtype=float)


def modern_layers(state: State) -> list[Struct]:
    def convolution(name: str) -> Struct:
        kernel = {"name": name, "type": "conv", "weights": weights(state, name), "size": pads(2, 9, 3, 6)}
        return {**kernel, "pad": pads(0, 0, 0, 0), "stride": pads(4, 4), "precious": 0.0, "dilate": 1.0, "opts": cell()}

    relu = {"name": "relu1", "type": "relu", "leak": 0.0, "weights": cell(), "precious": 0.0}
    norm = {"name": "norm1", "type": "lrn", "param": pads(5, 2, 1, 1), "weights": cell(), "precious": 0.0}
    pool = {"name": "pool1", "type": "pool", "method": "max", "pool": pads(3, 3), "stride": pads(2, 2)}
    return [convolution("conv1"), relu, norm, {**pool, "pad": pads(0, 1, 0, 1)}, convolution("fc7")]


def legacy(state: State) -> Struct:
    def convolution(name: str) -> Struct:
        first = {"weights": weights(state, name), "pad": pads(0, 0, 0, 0), "type": "conv"}
        return {**first, "name": name, "stride": pads(4, 4)}

    relu, norm = {"type": "relu", "name": "relu1"}, {"type": "normalize", "name": "norm1", "param": pads(5, 2, 1, 1)}
    pool = {"name": "pool1", "stride": pads(2, 2), "pad": pads(0, 1, 0, 1), "type": "pool", "method": "max"}
    layers = cell(convolution("conv1"), relu, norm, {**pool, "pool": pads(3, 3)}, convolution("fc7"))
    normalization = {"averageImage": mean_image(state), "keepAspect": 0.0, "imageSize": pads(5, 4, 3)}
    return {"layers": layers, "classes": {"name": cell("n01")}, "normalization": normalization}


def current(state: State) -> Struct:
    fc8 = {"name": "fc8", "type": "conv", "weights": cell(np.ones((1, 1, 7, 9)), np.ones((9, 1)))}
    softmax = {"name": "prob", "type": "softmax", "weights": cell(), "precious": 0.0}
    normalization = {"imageSize": pads(5, 4, 3, 10), "averageImage": mean_image(state), "interpolation": "bilinear"}
    meta = {"classes": {"name": cell("n01")}, "normalization": normalization}
    return {"layers": cell(*modern_layers(state), fc8, softmax), "meta": meta}


def vgg_net(state: State) -> Struct:
    meta = {"normalization": {"averageImage": mean_image(state)}}
    return {"net": {"layers": cell(*modern_layers(state)), "meta": meta}}


LAYOUTS = [legacy, current, vgg_net]


def save(folder: Path, content: Struct, **options: Any) -> MatConvNetFile:
    savemat(folder / "net.mat", content, **options)
    return MatConvNetFile(folder / "net.mat", "small")


def problem(file: MatConvNetFile) -> str:
    """Return the error for a file, which `check` and `read` share."""
    with pytest.raises(UserError) as checked:
        file.check(Small())
    with pytest.raises(UserError) as read:
        file.read(Small())
    assert str(checked.value) == str(read.value)
    where, _, message = str(read.value).partition(": ")
    assert where == f"weights {file.path}"
    assert "\n" not in message
    return message


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_gives_upright_kernels_and_mean(
    tmp_path: Path, state: State, layout: Callable[[State], Struct], compressed: bool
) -> None:
    file = save(tmp_path, layout(state), do_compression=compressed)
    file.check(Small())
    found = file.read(Small())
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)
        assert found[name].is_contiguous()
    Small().load_state_dict(found)


def test_the_layouts_are_written_as_matconvnet_writes_them(tmp_path: Path, state: State) -> None:
    old, new, nested = (loadmat(save(tmp_path, layout(state)).path) for layout in LAYOUTS)
    assert old["layers"][0, 0].dtype.names == ("weights", "pad", "type", "name", "stride")
    assert old["normalization"].dtype.names[0] == "averageImage"
    assert new["layers"][0, 0].dtype.names[:5] == ("name", "type", "weights", "size", "pad")
    assert new["meta"]["normalization"][0, 0]["averageImage"][0, 0].shape == (5, 4, 3)
    assert nested["net"].dtype.names == ("layers", "meta")
    assert nested["net"]["layers"][0, 0][0, 0]["weights"][0, 0][0, 1].shape == (6, 1)


def test_doubles_and_biases_in_a_row_are_read_as_float32(tmp_path: Path, state: State) -> None:
    content = legacy(state)
    for layer in ("conv1", "fc7"):
        (struct,) = (found for found in content["layers"].flat if found["name"] == layer)
        kernel, bias = struct["weights"].flat
        struct["weights"] = cell(kernel.astype("float64"), bias.T.astype("float64"))
    found = save(tmp_path, content).read(Small())
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    assert all(torch.equal(tensor, state[name]) for name, tensor in found.items())


@pytest.mark.parametrize(
    ("layout", "called"), [(legacy, "legacy"), (current, "current"), (vgg_net, "vgg_net.mat's")], ids=str
)
def test_a_kernel_of_another_network_is_named_with_the_layout(
    tmp_path: Path, state: State, layout: Callable[[State], Struct], called: str
) -> None:
    other = {**state, "conv1.weight": torch.ones(6, 3, 9, 2)}
    assert problem(save(tmp_path, layout(other))) == (
        f"not the weights of small ({called} layout): "
        "kernel of conv1: got float32 (9, 2, 3, 6), expected floats (2, 9, 3, 6)"
    )


def strip(content: Struct, layer: str, field: str) -> Struct:
    """Return a file's content without a field of a layer, or without the layer's name if that is the field."""
    layers = [{k: v for k, v in each.items() if each["name"] != layer or k != field} for each in content["layers"].flat]
    return {**content, "layers": cell(*layers)}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda c: strip(c, "fc7", "name"), "layer fc7 is missing: got conv1, relu1, norm1, pool1, fc8, prob"),
        (
            lambda c: strip(c, "fc7", "weights"),
            "layer fc7: expected a field `weights`, a cell of its kernel and its bias",
        ),
        (lambda c: {**c, "layers": np.ones((1, 19))}, "layer conv1 is missing: got no layers"),
        (lambda c: {**c, "layers": np.ones((1, 0))}, "layer conv1 is missing: got no layers"),
        (lambda c: {**c, "meta": {"inputSize": 224.0}}, "mean image is missing"),
        (lambda c: {**c, "meta": np.ones((2, 2))}, "mean image is missing"),
        (
            lambda c: {**c, "meta": {"normalization": {"averageImage": np.ones((1, 1, 3))}}},
            "mean image: got float64 (1, 1, 3), expected floats (5, 4, 3)",
        ),
        (
            lambda c: {**c, "meta": {"normalization": {"averageImage": "none"}}},
            "mean image: got str128 (1,), expected floats (5, 4, 3)",
        ),
    ],
    ids=["no name", "no weights", "numbers", "no layers", "no mean", "no struct", "three numbers", "text"],
)
def test_what_is_not_where_it_should_be_is_named(
    tmp_path: Path, state: State, change: Callable[[Struct], Struct], expected: str
) -> None:
    file = save(tmp_path, change(current(state)))
    assert problem(file) == f"not the weights of small (current layout): {expected}"


def test_a_bias_of_another_length_is_named(tmp_path: Path, state: State) -> None:
    message = problem(save(tmp_path, legacy({**state, "fc7.bias": torch.ones(6)})))
    assert message == "not the weights of small (legacy layout): bias of fc7: got float32 (6,), expected floats (7,)"


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 0, 2), (0, 2, 1)])
def test_swapped_channels_of_the_mean_image_are_refused(
    tmp_path: Path, state: State, order: tuple[int, int, int]
) -> None:
    message = problem(save(tmp_path, current({**state, "mean": state["mean"][list(order)]})))
    assert "channels swapped: got a mean image of " in message
    assert message.endswith("expected red, green, blue of about 123, 117, 104")


@pytest.mark.parametrize("factor", [1 / 255, 0.9, 1.1])
def test_a_mean_image_of_other_colors_is_refused(tmp_path: Path, state: State, factor: float) -> None:
    message = problem(save(tmp_path, current({**state, "mean": factor * state["mean"]})))
    assert "another mean image than ImageNet's: got " in message


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kept", [140, 700, -700, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, state: State, kept: int, compressed: bool) -> None:
    file = save(tmp_path, vgg_net(state), do_compression=compressed)
    file.path.write_bytes(file.path.read_bytes()[:kept])
    assert problem(file).startswith("a damaged MATLAB file: got ")


@pytest.mark.parametrize("kept", [0, 60, 127])
def test_a_file_without_a_whole_header_is_refused(tmp_path: Path, state: State, kept: int) -> None:
    file = save(tmp_path, vgg_net(state))
    file.path.write_bytes(file.path.read_bytes()[:kept])
    assert problem(file) == "not a MATLAB file of versions 5 to 7, or a damaged one"


def test_a_header_alone_holds_no_network(tmp_path: Path, state: State) -> None:
    file = save(tmp_path, vgg_net(state))
    file.path.write_bytes(file.path.read_bytes()[:128])
    assert problem(file) == "no network of MatConvNet: got no variables; expected `layers` or `net`"


def test_a_file_cut_between_two_variables_is_refused(tmp_path: Path, state: State) -> None:
    content = current(state)
    whole = save(tmp_path, {"layers": content["layers"]})
    assert problem(whole) == "not the weights of small (legacy layout): mean image is missing"


def test_a_matlab_file_of_something_else_says_what_it_holds(tmp_path: Path) -> None:
    file = save(tmp_path, {"images": np.ones((2, 2)), "tags": np.ones((2, 2))})
    assert problem(file) == ("no network of MatConvNet: got variables images, tags; expected `layers` or `net`")


@pytest.mark.parametrize(
    "head", [b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM", b"\x89HDF\r\n\x1a\n"], ids=["MATLAB", "HDF5"]
)
def test_a_file_of_matlab_7_3_says_how_to_save_it(tmp_path: Path, head: bytes) -> None:
    file = MatConvNetFile(tmp_path / "net.mat", "small")
    file.path.write_bytes(head + bytes(1000))
    assert problem(file) == "got a MATLAB 7.3 file (HDF5), expected an older version, as `save -v7` writes it"


def test_what_is_no_matlab_file_or_one_of_version_4_is_refused(tmp_path: Path) -> None:
    file = save(tmp_path, {"layers": np.ones((20, 20))}, format="4")
    assert problem(file) == "not a MATLAB file of versions 5 to 7, or a damaged one"
    torch.save({"mean": torch.ones(3)}, file.path)
    assert problem(file) == "not a MATLAB file of versions 5 to 7, or a damaged one"


def test_a_file_that_is_not_there_is_reported_as_missing(tmp_path: Path) -> None:
    assert problem(MatConvNetFile(tmp_path / "net.mat", "small")) == "no such file"
    assert problem(MatConvNetFile(tmp_path, "small")) == "cannot be read: got IsADirectoryError"


def test_without_scipy_it_says_what_to_install(tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    file = save(tmp_path, current(state))
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    assert problem(file) == "a .mat file needs scipy: pip install 'retbench-hashers[mat]'"


def test_a_file_is_checked_once_until_it_changes(tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    file = save(tmp_path, current(state))
    reads: list[Path] = []
    load = MatConvNetFile._load
    monkeypatch.setattr(MatConvNetFile, "_load", lambda file: reads.append(file.path) or load(file))
    matconvnet_file._problem.cache_clear()
    file.check(Small())
    file.check(Small())
    assert reads == [file.path]
    save(tmp_path, {"layers": current(state)["layers"]})
    with pytest.raises(UserError, match="mean image is missing"):
        file.check(Small())
