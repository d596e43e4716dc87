"""A .mat file in which MatConvNet saved a network."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from retbench import State, UserError
from retbench_hashers.backbones.features import Features

MEAN = "mean"
"""Name of the mean image in a state."""
COLORS = torch.tensor([123.0, 117.0, 104.0])
"""Mean red, green and blue of ImageNet in 0..255, rounded."""
NEAR = 10.0
"""How far the colors of a mean image may be from these; red and green are 6 apart, so their order is checked too."""
VERSION_5 = (b"\0\1IM", b"\1\0MI")
VERSION_7_3 = (b"\0\2IM", b"\2\0MI")
"""The last four bytes of the first 128 of a MATLAB file, of either byte order."""
HDF5 = b"\x89HDF\r\n\x1a\n"

Shapes = tuple[tuple[str, tuple[int, ...]], ...]
"""Name and shape of every tensor of a state."""


class MatConvNetFile(NamedTuple):
    """Kernels, biases and mean image of a network in a .mat file, found by the names of layers and fields.

    Three layouts of VGG-F hold the same numbers. The current one has variables `layers` and `meta`; the legacy one (to
    MatConvNet beta16) has `layers` and `normalization`; DCMH's `vgg_net.mat` has a struct `net` of `layers` and `meta`.
    Each has its fields in another order. A .mat file holds no pickles, but scipy's reader is compiled code that a
    forged file can crash: use one from where it was published.

    Attributes:
        path: location of the file.
        architecture: the network whose weights it should hold, for the messages.
    """

    path: Path
    architecture: str

    def check(self, features: Features) -> None:
        """Check that `read` succeeds; the answer is kept while the file's size and modification time stay the same.

        Raises:
            UserError: as `read` does.
        """
        stamp = self.path.stat() if self.path.is_file() else None
        size, modified = (stamp.st_size, stamp.st_mtime_ns) if stamp else (0, 0)
        if problem := _problem(self, _shapes(features), size, modified):
            raise UserError(problem)

    def read(self, features: Features) -> State:
        """Return the state of `features`, float32 on the CPU; layers of other names are dropped.

        Kernels (height, width, inputs, outputs) become (outputs, inputs, height, width), upright; the mean image
        (height, width, 3) becomes (3, height, width).

        Args:
            features: a network whose state is `mean`, and `weight` and `bias` under the name of each layer.

        Raises:
            UserError: scipy is not installed; the file is missing, damaged, or of another format; it holds another
                network; its mean image is not ImageNet's in red, green and blue.
        """
        return self._read(_shapes(features))

    def _read(self, shapes: Shapes) -> State:
        network = _network(self._load())
        try:
            state = {name: network.tensor(name, shape) for name, shape in shapes}
            _check_colors(state[MEAN])
        except ValueError as error:
            raise self._error(f"not the weights of {self.architecture} ({network.layout} layout): {error}") from None
        return state

    def _load(self) -> Mapping[str, Any]:
        """Return the MATLAB variables that hold a network."""
        self._check_header()
        try:
            from scipy.io import loadmat, whosmat
        except ImportError:
            raise self._error("a .mat file needs scipy: pip install 'retbench-hashers[mat]'") from None
        try:
            names = [name for name, *_ in whosmat(self.path, appendmat=False)]
            wanted = [name for name in names if name in ("net", "layers", "meta", "normalization")]
            found: dict[str, Any] = loadmat(self.path, appendmat=False, variable_names=wanted) if wanted else {}
        except Exception as error:  # a zlib, type, value, index or memory error, depending on where the damage is
            raise self._error(f"a damaged MATLAB file: got {type(error).__name__}") from None
        if "net" not in found and "layers" not in found:
            held = f"variables {', '.join(names[:5])}" if names else "no variables"
            raise self._error(f"no network of MatConvNet: got {held}; expected `layers` or `net`")
        return found

    def _check_header(self) -> None:
        try:
            with open(self.path, "rb") as stream:
                head = stream.read(128)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            raise self._error("no such file" if missing else f"cannot be read: got {type(error).__name__}") from None
        if head.startswith(HDF5) or head[124:] in VERSION_7_3:
            raise self._error("got a MATLAB 7.3 file (HDF5), expected an older version, as `save -v7` writes it")
        if head[124:] not in VERSION_5:
            raise self._error("not a MATLAB file of versions 5 to 7, or a damaged one")

    def _error(self, problem: str) -> UserError:
        return UserError(f"weights {self.path}: {problem}")


class _Network(NamedTuple):
    """Contents of a file of any layout; arrays have MATLAB's order of axes."""

    layout: str
    layers: dict[str, dict[str, Any]]
    mean: Any

    def tensor(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Return a tensor of a state by name; raises ValueError where the file has none of this shape."""
        if name == MEAN:
            height, width = shape[1:]
            return _floats("mean image", self.mean, (height, width, shape[0])).permute(2, 0, 1).contiguous()
        layer, _, kind = name.partition(".")
        kernel, bias = self._weights(layer)
        if kind == "bias":
            return _floats(f"bias of {layer}", bias.reshape(-1), shape)
        outputs, inputs, height, width = shape
        return _floats(f"kernel of {layer}", kernel, (height, width, inputs, outputs)).permute(3, 2, 0, 1).contiguous()

    def _weights(self, layer: str) -> tuple[Any, Any]:
        if layer not in self.layers:
            raise ValueError(f"layer {layer} is missing: got {', '.join(self.layers) or 'no layers'}")
        pair = self.layers[layer].get("weights")
        if pair is None or pair.dtype != object or pair.size != 2:
            raise ValueError(f"layer {layer}: expected a field `weights`, a cell of its kernel and its bias")
        kernel, bias = pair.flat
        return kernel, bias


def _network(variables: Mapping[str, Any]) -> _Network:
    root = _fields(variables["net"]) if "net" in variables else variables
    layout = "vgg_net.mat's" if "net" in variables else "current" if "meta" in root else "legacy"
    normalization = _fields(root["meta"]).get("normalization") if "meta" in root else root.get("normalization")
    return _Network(layout, _named_layers(root.get("layers")), _fields(normalization).get("averageImage"))


def _named_layers(cells: Any) -> dict[str, dict[str, Any]]:
    """Return the fields of each layer by its name; empty where `cells` is not a cell array."""
    if cells is None or cells.dtype != object:
        return {}
    layers = [_fields(cell) for cell in cells.flat]
    return {str(layer["name"].flat[0]): layer for layer in layers if "name" in layer and layer["name"].size}


def _fields(struct: Any) -> dict[str, Any]:
    """Return the fields of a MATLAB struct; empty for anything but a single struct."""
    names = struct.dtype.names if getattr(struct, "shape", None) == (1, 1) else None
    return {name: struct[name][0, 0] for name in names or ()}


def _floats(what: str, array: Any, shape: tuple[int, ...]) -> Tensor:
    """Return an array as float32; raises ValueError if it is missing, holds no floats, or has another shape."""
    if array is None:
        raise ValueError(f"{what} is missing")
    if array.dtype.kind != "f" or array.shape != shape:
        raise ValueError(f"{what}: got {array.dtype.name} {array.shape}, expected floats {shape}")
    return torch.from_numpy(array.astype("float32"))


def _check_colors(mean: Tensor) -> None:
    """Raise ValueError unless a mean image (3, H, W) has the colors of ImageNet, red first."""
    colors = mean.mean(dim=(1, 2))
    got = ", ".join(f"{color:.0f}" for color in colors)
    red, green, blue = colors.tolist()
    if not red > green > blue:
        raise ValueError(
            f"channels swapped: got a mean image of {got}, expected red, green, blue of about 123, 117, 104"
        )
    if not ((colors - COLORS).abs() <= NEAR).all():
        raise ValueError(f"another mean image than ImageNet's: got {got}, expected about 123, 117, 104")


def _shapes(features: Features) -> Shapes:
    return tuple((name, tuple(tensor.shape)) for name, tensor in features.state_dict().items())


@lru_cache(maxsize=16)
def _problem(file: MatConvNetFile, shapes: Shapes, size: int, modified: int) -> str | None:
    """Return the message of what `read` raises, or None; `size` and `modified` are part of the cache's key alone."""
    try:
        file._read(shapes)
    except UserError as error:
        return str(error)
    return None
