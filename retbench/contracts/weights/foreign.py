"""Weights that other programs wrote: read without running code, and compared with what a network needs."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from retbench.contracts.types import State
from retbench.errors import UserError

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Types of numbers by their names in safetensors files."""


def read_weights(path: Path, device: str = "cpu") -> State:
    """Return the tensors of a safetensors file (by its suffix) or of a PyTorch file, by name.

    No code in the file is run. With `device="meta"`, only names, shapes and types are read.

    Raises:
        UserError: the file is missing or damaged, or contains anything but tensors by name.
    """
    try:
        found = _read_safetensors(path, device) if path.suffix == ".safetensors" else _read_pytorch(path, device)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a zip, pickle, header or file error, depending on what the file is
        raise UserError(f"weights {path}: {_describe_error(error, path)}") from None
    if not isinstance(found, Mapping):
        raise UserError(f"weights {path}: not a state dict: got {type(found).__name__}, expected names and tensors")
    for name, value in found.items():
        kind = type(name if not isinstance(name, str) else value).__name__
        if not isinstance(name, str) or not isinstance(value, Tensor):
            expected = "a tensor" if isinstance(name, str) else "a name"
            raise UserError(f"weights {path}: not a state dict: got {kind} at {name!r}, expected {expected}")
        if value.is_meta and device != "meta":
            raise UserError(f"weights {path}: {name} has a shape and no numbers: it was saved on the meta device")
    return dict(found)


def match_weights(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str, ignored: Iterable[str] = ()
) -> State:
    """Return the weights of a network in its order and types, after checking that they are complete and fit.

    A file that lacks a tensor would leave a layer with random or uninitialized numbers, and one with other tensors is
    that of another network. Values are checked too, except on the meta device.

    Args:
        found: the tensors of the file by name.
        expected: the network's `state_dict()`; tensors on the meta device suffice.
        source: the file and the network, first in the message.
        ignored: names of `found` that the network does not need, or their beginnings if they end in a dot.

    Raises:
        UserError: a tensor is missing, unexpected, of another shape or type, or holds NaN or infinity; the message
            names the first of each, and counts the others.

    Example:
        >>> import torch
        >>> layer = torch.nn.Linear(2, 1)
        >>> match_weights({"weight": torch.ones(1, 3)}, layer.state_dict(), "weights layer.pt: not a linear layer")
        Traceback (most recent call last):
            ...
        retbench.errors.UserError: weights layer.pt: not a linear layer: missing bias; wrong shape of weight (got \
(1, 3), expected (1, 2))
    """
    names = tuple(ignored)
    prefixes = tuple(name for name in names if name.endswith("."))
    kept = {name: tensor for name, tensor in found.items() if name not in names and not name.startswith(prefixes)}
    problems = [
        _list_names("missing", (name for name in expected if name not in kept)),
        _list_names("unexpected", (name for name in kept if name not in expected)),
        _list_names("wrong shape of", _wrong_shapes(kept, expected)),
        _list_names("wrong type of", _wrong_types(kept, expected)),
    ]
    if any(problems):
        raise UserError(f"{source}: {'; '.join(filter(None, problems))}")
    state = {name: kept[name].to(tensor.dtype).contiguous() for name, tensor in expected.items()}
    if wrong := _list_names("NaN or infinity in", (name for name, tensor in state.items() if not is_finite(tensor))):
        raise UserError(f"{source}: {wrong}")
    return state


def load_weights(module: nn.Module, found: Mapping[str, Tensor], source: str, ignored: Iterable[str] = ()) -> None:
    """Load weights into a network, after the checks of `match_weights`; a network on the meta device takes them over.

    Args:
        module: the network; unchanged if the weights do not fit.
        found: the tensors of the file by name.
        source: the file and the network, first in the message.
        ignored: as in `match_weights`.

    Raises:
        UserError: as `match_weights`.
    """
    expected = module.state_dict()
    state = match_weights(found, expected, source, ignored)
    module.load_state_dict(state, strict=True, assign=any(tensor.is_meta for tensor in expected.values()))


def is_finite(tensor: Tensor) -> bool:
    """Return whether a tensor holds no NaN and no infinity; True for integers and on the meta device."""
    return tensor.is_meta or not (tensor.is_floating_point() or tensor.is_complex()) or bool(tensor.isfinite().all())


def _read_safetensors(path: Path, device: str) -> State:
    with safe_open(path, "pt") as archive:
        names = list(archive.keys())
        if device != "meta":
            return {name: archive.get_tensor(name).to(device) for name in names}
        slices = {name: archive.get_slice(name) for name in names}
        # A type that is not in the table is none that a network could have, and is reported as such.
        return {
            name: torch.empty(each.get_shape(), dtype=_DTYPES.get(each.get_dtype(), torch.bool), device="meta")
            for name, each in slices.items()
        }


def _read_pytorch(path: Path, device: str) -> Any:
    # Files from before torch 1.6 are no zip archives, and cannot be mapped into memory.
    is_archive = zipfile.is_zipfile(path)
    return torch.load(path, map_location=device, weights_only=True, mmap=is_archive)


def _describe_error(error: Exception, path: Path) -> str:
    """Return in one line why a file could not be opened; torch's own message is a paragraph."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError | IsADirectoryError):
        return f"cannot be read: {error.strerror}"
    if pickled := re.search(r"Unsupported (?:global|class): (?:GLOBAL )?(\S+)", str(error)):
        return f"contains pickled code: got {pickled[1]}, expected names and tensors only"
    got = "a web page" if _is_web_page(path) else type(error).__name__
    return f"not a PyTorch or safetensors file, or damaged: got {got}; download it again"


def _is_web_page(path: Path) -> bool:
    """Return whether the file is HTML, as servers send in place of a file that needs a login."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(64).lstrip().lower()
    except OSError:
        return False
    return start.startswith((b"<!doctype html", b"<html"))


def _wrong_shapes(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterator[str]:
    for name, tensor in expected.items():
        if name in found and found[name].shape != tensor.shape:
            yield f"{name} (got {tuple(found[name].shape)}, expected {tuple(tensor.shape)})"


def _wrong_types(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterator[str]:
    for name, tensor in expected.items():
        if name not in found:
            continue
        other, is_sparse = found[name], found[name].layout is not torch.strided
        same_kind = (other.is_floating_point(), other.is_complex(), other.is_quantized) == (
            (tensor.is_floating_point(), tensor.is_complex(), tensor.is_quantized)
        )
        if is_sparse or not same_kind:
            got = str(other.layout if is_sparse else other.dtype).removeprefix("torch.")
            kind = "floating-point numbers" if tensor.is_floating_point() else "integers"
            yield f"{name} (got {got}, expected {kind})"
        elif not (other.is_meta or other.is_floating_point() or other.is_complex()) and not torch.equal(
            other.to(tensor.dtype).to(other.dtype), other
        ):
            yield f"{name} (got integers out of the range of {str(tensor.dtype).removeprefix('torch.')})"


def _list_names(problem: str, names: Iterable[str]) -> str:
    """Return `problem` with the first name and the number of the others; empty for no names."""
    first, *more = list(names) or [""]
    return first and f"{problem} {first}" + (f" and {len(more)} more" if more else "")
