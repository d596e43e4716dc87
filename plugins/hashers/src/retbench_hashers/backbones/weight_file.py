"""A weight file in safetensors or PyTorch format that another program wrote."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from retbench import State, UserError
from retbench_hashers.backbones.features import Features

SUFFIXES = (".pth", ".pt", ".safetensors")
COUNTER = "num_batches_tracked"


class WeightFile(NamedTuple):
    """A state dict in a safetensors file or, without any other pickled object, in PyTorch's own format.

    Attributes:
        path: location of the file; its suffix decides the format.
        architecture: the network whose weights it should hold, for the messages.
    """

    path: Path
    architecture: str

    def check(self, features: Features) -> None:
        """Check that the file holds the weights of `features`, by names and shapes; no tensor data are loaded.

        Raises:
            UserError: the file cannot be read, holds pickled objects, or the weights of another network.
        """
        self._fit_of(self._load("meta"), features)

    def read(self, features: Features) -> State:
        """Return the weights of `features`, float32 on the CPU; those of the replaced last layer are dropped.

        Batch normalizations that count no batches, as those of files from before torch 0.4.1, start at zero.

        Raises:
            UserError: as `check` does.
        """
        return self._fit_of(self._load("cpu"), features)

    def _fit_of(self, found: Mapping[str, Tensor], features: Features) -> State:
        expected = features.state_dict()
        counters = {name: torch.zeros((), dtype=torch.int64) for name in expected if name.endswith(COUNTER)}
        found = {**counters, **found}
        kept = {name: tensor for name, tensor in found.items() if not name.startswith(f"{features.replaced}.")}
        problems = [
            _listing("missing", (name for name in expected if name not in kept)),
            _listing("unexpected", (name for name in kept if name not in expected)),
            _listing("of another shape", _misshapen(kept, expected)),
        ]
        if any(problems):
            raise self._error(f"not the weights of {self.architecture}: {'; '.join(filter(None, problems))}")
        return {name: kept[name].to(tensor.dtype).contiguous() for name, tensor in expected.items()}

    def _load(self, device: str) -> Mapping[str, Tensor]:
        try:
            found = self._open(device)
        except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, SafetensorError) as error:
            raise self._error(_reason(error)) from None
        strange = [name for name, tensor in found.items() if not isinstance(tensor, Tensor)]
        if strange:
            raise self._error(f"not a state dict: got {type(found[strange[0]]).__name__} at {strange[0]!r}")
        return found

    def _open(self, device: str) -> Mapping[str, Any]:
        if self.path.suffix == ".safetensors":
            with safe_open(self.path, "pt") as archive:
                if device != "meta":
                    return {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118  no mapping
                shapes = {name: archive.get_slice(name).get_shape() for name in archive.keys()}  # noqa: SIM118  as above
                return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
        found = torch.load(self.path, map_location=device, weights_only=True)
        if not isinstance(found, Mapping):
            raise self._error(f"not a state dict: got {type(found).__name__}, expected names and tensors")
        return found

    def _error(self, problem: str) -> UserError:
        return UserError(f"weights {self.path}: {problem}")


def _reason(error: Exception) -> str:
    """Return in one line why a file could not be opened, which torch explains in a paragraph."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if pickled := re.search(r"Unsupported (?:global|class): (?:GLOBAL )?(\S+)", str(error)):
        return f"it runs code when it is opened: got a pickled {pickled[1]}, expected names and tensors alone"
    return f"neither a PyTorch nor a safetensors file, or a damaged one: got {type(error).__name__}"


def _misshapen(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterable[str]:
    for name, tensor in expected.items():
        if name in found and found[name].shape != tensor.shape:
            yield f"{name} (got {tuple(found[name].shape)}, expected {tuple(tensor.shape)})"


def _listing(what: str, names: Iterable[str]) -> str:
    """Return `what` with the first of the names and the number of the others; empty for no names."""
    first, *more = list(names) or [""]
    return first and f"{what} {first}" + (f" and {len(more)} more" if more else "")
