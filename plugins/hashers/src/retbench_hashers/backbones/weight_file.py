"""Weight files of other programs, in safetensors or PyTorch format."""

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
BATCH_COUNTER = "num_batches_tracked"


class WeightFile(NamedTuple):
    """A state dict in a safetensors file, or in a PyTorch file without other pickled objects.

    Attributes:
        path: location of the file; the suffix determines the format.
        architecture: name of the expected network, for messages.
    """

    path: Path
    architecture: str

    def check(self, features: Features) -> None:
        """Check names and shapes of the weights in the file against `features`, without loading the weights.

        Raises:
            UserError: the file cannot be read, or holds pickled objects or the weights of another network.
        """
        self._match(self._load("meta"), features)

    def read(self, features: Features) -> State:
        """Return the weights of `features`, float32 on the CPU, without those of the replaced last layer.

        Batch counters of batch normalizations, missing in files from before torch 0.4.1, start at zero.

        Raises:
            UserError: as `check` does.
        """
        return self._match(self._load("cpu"), features)

    def _match(self, found: Mapping[str, Tensor], features: Features) -> State:
        expected = features.state_dict()
        counters = {name: torch.zeros((), dtype=torch.int64) for name in expected if name.endswith(BATCH_COUNTER)}
        found = {**counters, **found}
        kept = {name: tensor for name, tensor in found.items() if not name.startswith(f"{features.replaced_layer}.")}
        problems = [
            _list_names("missing", (name for name in expected if name not in kept)),
            _list_names("unexpected", (name for name in kept if name not in expected)),
            _list_names("wrong shape of", _wrong_shapes(kept, expected)),
        ]
        if any(problems):
            raise self._error(f"not the weights of {self.architecture}: {'; '.join(filter(None, problems))}")
        return {name: kept[name].to(tensor.dtype).contiguous() for name, tensor in expected.items()}

    def _load(self, device: str) -> Mapping[str, Tensor]:
        try:
            found = self._open(device)
        except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, SafetensorError) as error:
            raise self._error(_describe_error(error)) from None
        other_values = [name for name, tensor in found.items() if not isinstance(tensor, Tensor)]
        if other_values:
            kind = type(found[other_values[0]]).__name__
            raise self._error(f"not a state dict: got {kind} at {other_values[0]!r}, expected a tensor")
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


def _describe_error(error: Exception) -> str:
    """Return in one line why a file could not be opened; torch's own message is a paragraph."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if pickled := re.search(r"Unsupported (?:global|class): (?:GLOBAL )?(\S+)", str(error)):
        return f"contains pickled code: got {pickled[1]}, expected names and tensors only"
    return f"not a PyTorch or safetensors file, or damaged: got {type(error).__name__}"


def _wrong_shapes(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterable[str]:
    for name, tensor in expected.items():
        if name in found and found[name].shape != tensor.shape:
            yield f"{name} (got {tuple(found[name].shape)}, expected {tuple(tensor.shape)})"


def _list_names(problem: str, names: Iterable[str]) -> str:
    """Return `problem` with the first name and the number of the others; empty for no names."""
    first, *more = list(names) or [""]
    return first and f"{problem} {first}" + (f" and {len(more)} more" if more else "")
