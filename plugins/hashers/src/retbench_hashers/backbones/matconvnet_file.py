"""A .mat file in which MatConvNet saved a network."""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from retbench import State, UserError
from retbench_hashers.backbones.features import Features

MEAN_NAME = "mean"
"""Name of the mean image in a state."""
IMAGENET_COLORS = torch.tensor([123.0, 117.0, 104.0])
"""Mean red, green and blue of ImageNet in 0..255, rounded."""
COLOR_TOLERANCE = 10.0
"""Largest allowed difference of a mean image's colors from `IMAGENET_COLORS`."""
VERSION_5_TO_7 = (b"\0\1IM", b"\1\0MI")
VERSION_7_3 = (b"\0\2IM", b"\2\0MI")
"""Bytes 124 to 127 of a MATLAB file, in either byte order."""
HDF5 = b"\x89HDF\r\n\x1a\n"

Shapes = tuple[tuple[str, tuple[int, ...]], ...]
"""Name and shape of every tensor of a state."""


class MatConvNetFile(NamedTuple):
    """Kernels, biases and mean image of a network in a .mat file, found by the names of layers and fields.

    VGG-F is published in three layouts with the same numbers. The current one has the variables `layers` and `meta`;
    the legacy one (to MatConvNet beta16) has `layers` and `normalization`; DCMH's `vgg_net.mat` has a struct `net` of
    `layers` and `meta`. The order of the fields differs. A .mat file cannot hold pickled code, but a forged file could
    crash scipy's compiled reader: use files from their publisher.

    Attributes:
        path: location of the file.
        architecture: name of the expected network, for messages.
    """

    path: Path
    architecture: str

    def check(self, features: Features) -> None:
        """Check that `read` succeeds; the result is cached until the file's size or modification time changes.

        Raises:
            UserError: as `read` does.
        """
        status = self.path.stat() if self.path.is_file() else None
        size, modified = (status.st_size, status.st_mtime_ns) if status else (0, 0)
        if problem := _read_error(self, _shapes(features), features.replaced_layer, size, modified):
            raise UserError(problem)

    def read(self, features: Features) -> State:
        """Return the state of `features`, float32 on the CPU, without the replaced last layer.

        Kernels (height, width, inputs, outputs) become (outputs, inputs, height, width), upright; the mean image
        (height, width, 3) becomes (3, height, width).

        Args:
            features: a network whose state holds `mean`, and the `weight` and `bias` of each layer.

        Raises:
            UserError: scipy is not installed; the file is missing, damaged, or in another format; it holds another
                network, or weights that are not finite; its mean image is not that of ImageNet, red first.
        """
        return self._read(_shapes(features), features.replaced_layer)

    def _read(self, shapes: Shapes, replaced_layer: str) -> State:
        network = _network(self._load())
        try:
            network.check_layers({name.partition(".")[0] for name, _ in shapes} | {replaced_layer})
            state = {name: network.tensor(name, shape) for name, shape in shapes}
            _check_colors(state[MEAN_NAME])
        except ValueError as error:
            raise self._error(f"not the weights of {self.architecture} ({network.layout} layout): {error}") from None
        return state

    def _load(self) -> Mapping[str, Any]:
        """Return the MATLAB variables that hold a network."""
        self._check_header()
        try:
            from scipy.io import loadmat, whosmat
        except ImportError:
            raise self._error("reading a .mat file needs scipy; run pip install 'retbench-hashers[mat]'") from None
        try:
            names = [name for name, *_ in whosmat(self.path, appendmat=False)]
            wanted = [name for name in names if name in ("net", "layers", "meta", "normalization")]
            found: dict[str, Any] = loadmat(self.path, appendmat=False, variable_names=wanted) if wanted else {}
        except Exception as error:  # scipy raises zlib, type, value, index or memory errors, depending on the damage
            raise self._error(f"damaged MATLAB file: got {type(error).__name__}") from None
        if "net" not in found and "layers" not in found:
            held = f"variables {', '.join(names[:5])}" if names else "no variables"
            raise self._error(f"not a MatConvNet network: got {held}, expected `layers` or `net`")
        return found

    def _check_header(self) -> None:
        try:
            with open(self.path, "rb") as stream:
                header = stream.read(128)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            raise self._error("no such file" if missing else f"cannot be read: got {type(error).__name__}") from None
        if header.startswith(HDF5) or header[124:] in VERSION_7_3:
            raise self._error("wrong MATLAB version: got 7.3 (HDF5), expected 5 to 7; save it with `save -v7`")
        if header[124:] not in VERSION_5_TO_7:
            raise self._error("not a MATLAB file of versions 5 to 7, or damaged")

    def _error(self, problem: str) -> UserError:
        return UserError(f"weights {self.path}: {problem}")


class _Network(NamedTuple):
    """The network in a file of any layout; arrays have MATLAB's order of axes."""

    layout: str
    layers: dict[str, dict[str, Any]]
    mean: Any

    def check_layers(self, known: Set[str]) -> None:
        """Raise ValueError for a layer with weights that is not among the known ones."""
        trained = [name for name, layer in self.layers.items() if getattr(layer.get("weights"), "size", 0)]
        if unexpected := [name for name in trained if name not in known]:
            more = f" and {len(unexpected) - 1} more" if unexpected[1:] else ""
            raise ValueError(f"unexpected layer {unexpected[0]}{more}")

    def tensor(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Return a tensor of a state by name; raise ValueError if the file has no such tensor of this shape."""
        if name == MEAN_NAME:
            height, width = shape[1:]
            return _to_float32("mean image", self.mean, (height, width, shape[0])).permute(2, 0, 1).contiguous()
        layer, _, kind = name.partition(".")
        kernel, bias = self._weights(layer)
        if kind == "bias":
            return _to_float32(f"bias of {layer}", bias.reshape(-1), shape)
        outputs, inputs, height, width = shape
        return (
            _to_float32(f"kernel of {layer}", kernel, (height, width, inputs, outputs)).permute(3, 2, 0, 1).contiguous()
        )

    def _weights(self, layer: str) -> tuple[Any, Any]:
        if layer not in self.layers:
            raise ValueError(f"layer {layer} is missing: got {', '.join(self.layers) or 'no layers'}")
        pair = self.layers[layer].get("weights")
        if pair is None or pair.dtype != object or pair.size != 2:
            raise ValueError(f"layer {layer}: expected a field `weights`, a cell array of kernel and bias")
        kernel, bias = pair.flat
        return kernel, bias


def _network(variables: Mapping[str, Any]) -> _Network:
    root = _fields(variables["net"]) if "net" in variables else variables
    layout = "vgg_net.mat's" if "net" in variables else "current" if "meta" in root else "legacy"
    normalization = _fields(root["meta"]).get("normalization") if "meta" in root else root.get("normalization")
    return _Network(layout, _named_layers(root.get("layers")), _fields(normalization).get("averageImage"))


def _named_layers(cells: Any) -> dict[str, dict[str, Any]]:
    """Return the fields of each layer by its name; empty if `cells` is not a cell array."""
    if cells is None or cells.dtype != object:
        return {}
    layers = [_fields(cell) for cell in cells.flat]
    return {str(layer["name"].flat[0]): layer for layer in layers if "name" in layer and layer["name"].size}


def _fields(struct: Any) -> dict[str, Any]:
    """Return the fields of a single MATLAB struct; empty for other values."""
    names = struct.dtype.names if getattr(struct, "shape", None) == (1, 1) else None
    return {name: struct[name][0, 0] for name in names or ()}


def _to_float32(name: str, array: Any, shape: tuple[int, ...]) -> Tensor:
    """Return an array as float32; raise ValueError if it is missing, not of floats, or has another shape."""
    if array is None:
        raise ValueError(f"{name} is missing")
    if array.dtype.kind != "f" or array.shape != shape:
        raise ValueError(f"{name}: got {array.dtype.name} {array.shape}, expected floats {shape}")
    tensor = torch.from_numpy(array.astype("float32"))
    if not tensor.isfinite().all():
        raise ValueError(f"{name}: NaN or infinity")
    return tensor


def _check_colors(mean: Tensor) -> None:
    """Raise ValueError unless the mean image (3, H, W) has the colors of ImageNet, red first."""
    colors = mean.mean(dim=(1, 2))
    got = ", ".join(f"{color:.0f}" for color in colors)
    red, green, blue = colors.tolist()
    if not red > green > blue:
        raise ValueError(
            f"mean image with swapped channels: got {got}, expected red, green and blue of about 123, 117, 104"
        )
    if not ((colors - IMAGENET_COLORS).abs() <= COLOR_TOLERANCE).all():
        raise ValueError(f"not the mean image of ImageNet: got {got}, expected about 123, 117, 104")


def _shapes(features: Features) -> Shapes:
    return tuple((name, tuple(tensor.shape)) for name, tensor in features.state_dict().items())


@lru_cache(maxsize=16)
def _read_error(file: MatConvNetFile, shapes: Shapes, replaced_layer: str, size: int, modified: int) -> str | None:
    """Return the message of the error that `read` raises, or None; `size` and `modified` only key the cache."""
    try:
        file._read(shapes, replaced_layer)
    except UserError as error:
        return str(error)
    return None
