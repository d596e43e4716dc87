"""Files of MatConvNet in three layouts: reading them, and the messages for wrong files."""

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
"""Fields that `savemat` writes as a single struct."""


class Small(Features):
    """Two layers with MatConvNet's names and sides of different lengths, so that a swapped axis is found."""

    width = 7
    min_side = 1
    replaced_layer = "fc8"
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
    """Return an array that `savemat` writes as a cell array of one row."""
    cells = np.empty((1, len(values)), dtype=object)
    for column, value in enumerate(values):
        cells[0, column] = value
    return cells


def weights(state: State, layer: str) -> np.ndarray[Any, Any]:
    kernel, bias = state[f"{layer}.weight"].numpy(), state[f"{layer}.bias"].numpy()
    return cell(kernel.transpose(2, 3, 1, 0), bias[:, None])


def mean_image(state: State) -> np.ndarray[Any, Any]:
    return state["mean"].numpy().transpose(1, 2, 0)


def row(*numbers: int) -> np.ndarray[Any, Any]:
    return np.array([numbers], dtype=float)


def modern_layers(state: State) -> list[Struct]:
    def convolution(name: str) -> Struct:
        kernel = {"name": name, "type": "conv", "weights": weights(state, name), "size": row(2, 9, 3, 6)}
        return {**kernel, "pad": row(0, 0, 0, 0), "stride": row(4, 4), "precious": 0.0, "dilate": 1.0, "opts": cell()}

    relu = {"name": "relu1", "type": "relu", "leak": 0.0, "weights": cell(), "precious": 0.0}
    norm = {"name": "norm1", "type": "lrn", "param": row(5, 2, 1, 1), "weights": cell(), "precious": 0.0}
    pool = {"name": "pool1", "type": "pool", "method": "max", "pool": row(3, 3), "stride": row(2, 2)}
    return [convolution("conv1"), relu, norm, {**pool, "pad": row(0, 1, 0, 1)}, convolution("fc7")]


def legacy(state: State) -> Struct:
    def convolution(name: str) -> Struct:
        first = {"weights": weights(state, name), "pad": row(0, 0, 0, 0), "type": "conv"}
        return {**first, "name": name, "stride": row(4, 4)}

    relu, norm = {"type": "relu", "name": "relu1"}, {"type": "normalize", "name": "norm1", "param": row(5, 2, 1, 1)}
    pool = {"name": "pool1", "stride": row(2, 2), "pad": row(0, 1, 0, 1), "type": "pool", "method": "max"}
    layers = cell(convolution("conv1"), relu, norm, {**pool, "pool": row(3, 3)}, convolution("fc7"))
    normalization = {"averageImage": mean_image(state), "keepAspect": 0.0, "imageSize": row(5, 4, 3)}
    return {"layers": layers, "classes": {"name": cell("n01")}, "normalization": normalization}


def current(state: State) -> Struct:
    fc8 = {"name": "fc8", "type": "conv", "weights": cell(np.ones((1, 1, 7, 9)), np.ones((9, 1)))}
    softmax = {"name": "prob", "type": "softmax", "weights": cell(), "precious": 0.0}
    normalization = {"imageSize": row(5, 4, 3, 10), "averageImage": mean_image(state), "interpolation": "bilinear"}
    meta = {"classes": {"name": cell("n01")}, "normalization": normalization}
    return {"layers": cell(*modern_layers(state), fc8, softmax), "meta": meta}


def vgg_net(state: State) -> Struct:
    meta = {"normalization": {"averageImage": mean_image(state)}}
    return {"net": {"layers": cell(*modern_layers(state)), "meta": meta}}


LAYOUTS = [legacy, current, vgg_net]


def save(folder: Path, content: Struct, **options: Any) -> MatConvNetFile:
    savemat(folder / "net.mat", content, **options)
    return MatConvNetFile(folder / "net.mat", "small")


def read_error(file: MatConvNetFile) -> str:
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


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_read_with_upright_kernels_and_mean(
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


def test_the_test_files_have_the_layouts_of_matconvnet(tmp_path: Path, state: State) -> None:
    old, new, nested = (loadmat(save(tmp_path, layout(state)).path) for layout in LAYOUTS)
    assert old["layers"][0, 0].dtype.names == ("weights", "pad", "type", "name", "stride")
    assert old["normalization"].dtype.names[0] == "averageImage"
    assert new["layers"][0, 0].dtype.names[:5] == ("name", "type", "weights", "size", "pad")
    assert new["meta"]["normalization"][0, 0]["averageImage"][0, 0].shape == (5, 4, 3)
    assert nested["net"].dtype.names == ("layers", "meta")
    assert nested["net"]["layers"][0, 0][0, 0]["weights"][0, 0][0, 1].shape == (6, 1)


def test_float64_weights_and_row_biases_are_read_as_float32(tmp_path: Path, state: State) -> None:
    content = legacy(state)
    for layer in ("conv1", "fc7"):
        (struct,) = (found for found in content["layers"].flat if found["name"] == layer)
        kernel, bias = struct["weights"].flat
        struct["weights"] = cell(kernel.astype("float64"), bias.T.astype("float64"))
    found = save(tmp_path, content).read(Small())
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    assert all(torch.equal(tensor, state[name]) for name, tensor in found.items())


@pytest.mark.parametrize(
    ("layout", "layout_name"), [(legacy, "legacy"), (current, "current"), (vgg_net, "vgg_net.mat's")]
)
def test_a_kernel_of_another_network_is_reported_with_the_layout(
    tmp_path: Path, state: State, layout: Callable[[State], Struct], layout_name: str
) -> None:
    other = {**state, "conv1.weight": torch.ones(6, 3, 9, 2)}
    assert read_error(save(tmp_path, layout(other))) == (
        f"not the weights of small ({layout_name} layout): "
        "kernel of conv1: got float32 (9, 2, 3, 6), expected floats (2, 9, 3, 6)"
    )


def without_field(content: Struct, layer: str, field: str) -> Struct:
    """Return the content of a file without one field of a layer."""
    layers = [{k: v for k, v in each.items() if each["name"] != layer or k != field} for each in content["layers"].flat]
    return {**content, "layers": cell(*layers)}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda c: without_field(c, "fc7", "name"), "layer fc7 is missing: got conv1, relu1, norm1, pool1, fc8, prob"),
        (
            lambda c: without_field(c, "fc7", "weights"),
            "layer fc7: expected a field `weights`, a cell array of kernel and bias",
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
def test_missing_or_wrong_fields_are_reported(
    tmp_path: Path, state: State, change: Callable[[Struct], Struct], expected: str
) -> None:
    file = save(tmp_path, change(current(state)))
    assert read_error(file) == f"not the weights of small (current layout): {expected}"


def test_a_bias_of_another_length_is_reported(tmp_path: Path, state: State) -> None:
    message = read_error(save(tmp_path, legacy({**state, "fc7.bias": torch.ones(6)})))
    assert message == "not the weights of small (legacy layout): bias of fc7: got float32 (6,), expected floats (7,)"


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 0, 2), (0, 2, 1)])
def test_swapped_channels_of_the_mean_image_are_refused(
    tmp_path: Path, state: State, order: tuple[int, int, int]
) -> None:
    message = read_error(save(tmp_path, current({**state, "mean": state["mean"][list(order)]})))
    assert "mean image with swapped channels: got " in message
    assert message.endswith("expected red, green and blue of about 123, 117, 104")


@pytest.mark.parametrize("factor", [1 / 255, 0.9, 1.1])
def test_a_mean_image_of_other_colors_is_refused(tmp_path: Path, state: State, factor: float) -> None:
    message = read_error(save(tmp_path, current({**state, "mean": factor * state["mean"]})))
    assert "not the mean image of ImageNet: got " in message


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kept", [140, 700, -700, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, state: State, kept: int, compressed: bool) -> None:
    file = save(tmp_path, vgg_net(state), do_compression=compressed)
    file.path.write_bytes(file.path.read_bytes()[:kept])
    assert read_error(file).startswith("damaged MATLAB file: got ")


@pytest.mark.parametrize("kept", [0, 60, 127])
def test_a_file_with_an_incomplete_header_is_refused(tmp_path: Path, state: State, kept: int) -> None:
    file = save(tmp_path, vgg_net(state))
    file.path.write_bytes(file.path.read_bytes()[:kept])
    assert read_error(file) == "not a MATLAB file of versions 5 to 7, or damaged"


def test_a_file_with_only_a_header_is_refused(tmp_path: Path, state: State) -> None:
    file = save(tmp_path, vgg_net(state))
    file.path.write_bytes(file.path.read_bytes()[:128])
    assert read_error(file) == "not a MatConvNet network: got no variables, expected `layers` or `net`"


def test_a_file_cut_between_two_variables_is_refused(tmp_path: Path, state: State) -> None:
    content = current(state)
    file = save(tmp_path, {"layers": content["layers"]})
    assert read_error(file) == "not the weights of small (legacy layout): mean image is missing"


def test_the_variables_of_another_matlab_file_are_listed(tmp_path: Path) -> None:
    file = save(tmp_path, {"images": np.ones((2, 2)), "tags": np.ones((2, 2))})
    assert read_error(file) == ("not a MatConvNet network: got variables images, tags, expected `layers` or `net`")


@pytest.mark.parametrize(
    "head", [b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM", b"\x89HDF\r\n\x1a\n"], ids=["MATLAB", "HDF5"]
)
def test_the_message_for_matlab_7_3_explains_how_to_save_it(tmp_path: Path, head: bytes) -> None:
    file = MatConvNetFile(tmp_path / "net.mat", "small")
    file.path.write_bytes(head + bytes(1000))
    assert read_error(file) == "wrong MATLAB version: got 7.3 (HDF5), expected 5 to 7; save it with `save -v7`"


def test_version_4_and_other_formats_are_refused(tmp_path: Path) -> None:
    file = save(tmp_path, {"layers": np.ones((20, 20))}, format="4")
    assert read_error(file) == "not a MATLAB file of versions 5 to 7, or damaged"
    torch.save({"mean": torch.ones(3)}, file.path)
    assert read_error(file) == "not a MATLAB file of versions 5 to 7, or damaged"


def test_missing_and_unreadable_files_are_reported(tmp_path: Path) -> None:
    assert read_error(MatConvNetFile(tmp_path / "net.mat", "small")) == "no such file"
    assert read_error(MatConvNetFile(tmp_path, "small")) == "cannot be read: got IsADirectoryError"


def test_the_message_without_scipy_names_the_extra(
    tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save(tmp_path, current(state))
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    assert read_error(file) == "reading a .mat file needs scipy; run pip install 'retbench-hashers[mat]'"


def test_a_file_is_checked_again_only_after_a_change(
    tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save(tmp_path, current(state))
    reads: list[Path] = []
    load = MatConvNetFile._load
    monkeypatch.setattr(MatConvNetFile, "_load", lambda file: reads.append(file.path) or load(file))
    matconvnet_file._read_error.cache_clear()
    file.check(Small())
    file.check(Small())
    assert reads == [file.path]
    save(tmp_path, {"layers": current(state)["layers"]})
    with pytest.raises(UserError, match="mean image is missing"):
        file.check(Small())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_layer_with_weights_is_refused(layout: Callable[[State], Struct], state: State, tmp_path: Path) -> None:
    content = layout(state)
    holder = content.get("net", content)
    extra = {"name": "conv2", "type": "conv", "weights": weights(state, "conv1")}
    holder["layers"] = cell(*holder["layers"].flat, extra)
    assert read_error(save(tmp_path, content)).endswith(": unexpected layer conv2")


@pytest.mark.parametrize(("name", "part"), [("fc7.bias", "bias of fc7"), ("conv1.weight", "kernel of conv1")])
def test_weights_that_are_not_finite_are_refused(name: str, part: str, state: State, tmp_path: Path) -> None:
    state[name].view(-1)[0] = float("inf")
    assert read_error(save(tmp_path, current(state))).endswith(f": {part}: NaN or infinity")
