"""Isolate a component while it runs: nothing that it shares with the core and with other steps may change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from zlib import crc32

import torch
from torch import Tensor, nn

from retbench.contracts import Component
from retbench.contracts.noise import reserve_noise
from retbench.contracts.tensors import contract_breach, describe_component
from retbench.contracts.tensors.settings import keep_settings

Input = Tensor | nn.Module | Mapping[str, Tensor] | None
"""An input of a component; None for one that it was not given."""

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_BLOCK = 1 << 20
"""Elements of a checksum on an accelerator that are computed at once; 16 MB of memory."""


@contextmanager
def isolate(component: Component, inputs: Mapping[str, Input], reserved_ids: Sequence[str] = ()) -> Iterator[None]:
    """Raise ContractBreach if the component changes an input or a setting of the process in this block.

    Without this check, an attack could edit the clean images that its perturbation is measured against, and any
    component could change the weights, labels or settings of the steps after it. Inputs are compared by
    checksums, because version counters miss changes through numpy and `.data`, and copies of networks may not fit into
    memory. Settings are restored in any case.

    Networks are built, and states and batches read, anew for every step, so a change never reaches another step. Not
    found are changes that are undone before the block ends, attributes of a network that are no parameters, buffers or
    modes, and code that circumvents Python's and torch's interfaces.

    Args:
        component: the component that runs; errors name it.
        inputs: what the component is given, by the name in messages. Of a module, all parameters, buffers and modes
            (training, requires_grad) are compared.
        reserved_ids: ids for which the component must not make its own `Noise` (see `reserve_noise`).

    Raises:
        ContractBreach: the block ended without an exception, but an input or a setting changed.
    """
    before = _summarize(inputs)
    with keep_settings(component), reserve_noise(describe_component(component), reserved_ids):
        yield
    after = _summarize(inputs)
    if changed := [name for name, summary in before.items() if after.get(name) != summary]:
        raise contract_breach(component, f"it changed {changed[0]} in place; clone a tensor before you change it")


def _summarize(inputs: Mapping[str, Input]) -> dict[str, object]:
    """Return a value for each input that changes with its bits, shapes, types and modes."""
    return {name: _summarize_input(value) for name, value in inputs.items()}


def _summarize_input(value: Input) -> object:
    if value is None:
        return None
    if isinstance(value, Tensor):
        return _checksums({"": value})
    if isinstance(value, nn.Module):
        modes = [(name, module.training) for name, module in value.named_modules()]
        tensors = dict([*value.named_parameters(), *value.named_buffers()])
        return modes, [tensor.requires_grad for tensor in tensors.values()], _checksums(tensors)
    return _checksums(value)


def _checksums(tensors: Mapping[str, Tensor]) -> list[tuple[object, ...]]:
    """Return name, shape, type and checksum of each tensor."""
    plain = dict(part for name, tensor in tensors.items() for part in _plain_parts(name, tensor.detach()))
    sums = {name: weighted_sum(tensor) for name, tensor in plain.items() if tensor.device.type != "cpu"}
    numbers = dict(zip(sums, torch.stack([*sums.values()]).tolist(), strict=True)) if sums else {}  # one transfer
    for name in plain.keys() - sums.keys():
        numbers[name] = crc32(_view_bits(plain[name]).contiguous().numpy().data)
    return [(name, tensor.shape, tensor.dtype, numbers[name]) for name, tensor in plain.items()]


def _plain_parts(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield the dense tensors of real numbers that a tensor consists of, by name; of a dense real one, itself."""
    if tensor.layout is torch.sparse_coo:
        yield f"indices of {name}", tensor._indices()
        yield from _plain_parts(name, tensor._values())
    elif tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        yield f"rows of {name}", tensor.crow_indices()
        yield f"columns of {name}", tensor.col_indices()
        yield from _plain_parts(name, tensor.values())
    elif tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        yield f"columns of {name}", tensor.ccol_indices()
        yield f"rows of {name}", tensor.row_indices()
        yield from _plain_parts(name, tensor.values())
    elif tensor.is_quantized:
        yield name, tensor.int_repr()
    else:
        yield name, torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def weighted_sum(tensor: Tensor) -> Tensor:
    """Return the sum of a tensor's bits, as integers, times odd random weights, modulo 2^64: an int64 on its device.

    Any change of one element changes the sum, because an odd number can be inverted modulo 2^64. It is a checksum for
    accelerators, which read a network faster than it can be copied to the CPU.
    """
    bits = _view_bits(tensor).reshape(-1)
    total = torch.zeros((), dtype=torch.int64, device=tensor.device)
    for start in range(0, len(bits), _BLOCK):
        block = bits[start : start + _BLOCK]
        total = total * 3 + (block * _odd_weights(tensor.device)[: len(block)]).sum()
    return total


@lru_cache(maxsize=8)
def _odd_weights(device: torch.device) -> Tensor:
    weights = torch.randint(-(2**62), 2**62, (_BLOCK,), generator=torch.Generator().manual_seed(0)) * 2 + 1
    return weights.to(device)


def _view_bits(tensor: Tensor) -> Tensor:
    """Return a tensor's elements as integers, so that NaN equals NaN, and numpy can read every type."""
    return tensor.view(_INTEGERS[tensor.element_size()])
