"""The memory that a U-Net needs for its activations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from retbench_defenses.denoisers.denoiser import build_unet

SAFETY_FACTOR = 2.0
"""Factor on the counted bytes: convolutions also allocate workspaces, which are not visible as tensors."""


def activation_bytes(config: Mapping[str, Any], size: tuple[int, int]) -> int:
    """Return the peak activation memory in bytes of a float32 forward pass of one image, without gradients.

    The network runs on the meta device, where tensors have a size but no values.

    Args:
        config: arguments of the `UNet2DModel`.
        size: height and width of the image in pixels.
    """
    return _activation_bytes(json.dumps(dict(config), sort_keys=True), size)


@lru_cache(maxsize=64)
def _activation_bytes(config: str, size: tuple[int, int]) -> int:
    with torch.device("meta"), torch.no_grad():
        unet = build_unet(json.loads(config)).eval()
        image, level = torch.zeros(1, 3, *size), torch.zeros(1)
        memory = _PeakMemory(excluded=unet.parameters())
        with memory:
            unet(image, level)
    return round(SAFETY_FACTOR * memory.peak_bytes)


class _PeakMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class hook is untyped
    """Records the maximum of the memory that the results of operations occupy at one time.

    Args:
        excluded: tensors whose memory is not counted.
    """

    def __init__(self, excluded: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in torch
        # The references are kept, because the id of a storage could be reused after its reference is gone.
        self._excluded_references = [_reference(tensor) for tensor in excluded]
        self._excluded_ids = {reference.cdata for reference in self._excluded_references}
        self._storages: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        for result in tree_iter(results):
            if isinstance(result, Tensor):
                reference = _reference(result)
                if reference.cdata not in self._excluded_ids:
                    self._storages[reference.cdata] = (reference, result.untyped_storage().nbytes())
        self._storages = {key: entry for key, entry in self._storages.items() if not _is_freed(entry[0])}
        self.peak_bytes = max(self.peak_bytes, sum(size for _, size in self._storages.values()))
        return results


def _reference(tensor: Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]  # untyped in torch


def _is_freed(reference: StorageWeakRef) -> bool:
    return bool(reference.expired())  # type: ignore[no-untyped-call]  # untyped in torch
