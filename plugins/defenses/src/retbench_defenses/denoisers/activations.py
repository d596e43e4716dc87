"""The memory that a U-Net needs beside its weights."""

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

from retbench_defenses.denoisers.denoiser import lay_out

SAFETY = 2.0
"""Factor on the counted bytes: convolutions also keep scratch copies, which their results do not show."""


def activation_bytes(config: Mapping[str, Any], size: tuple[int, int]) -> int:
    """Return the bytes that one image of `size` (height, width) needs in a float32 forward pass without gradients.

    The network is run on the meta device, where tensors have a size and no content; the result is the most that is
    alive at once.
    """
    return _activation_bytes(json.dumps(dict(config), sort_keys=True), size)


@lru_cache(maxsize=64)
def _activation_bytes(config: str, size: tuple[int, int]) -> int:
    with torch.device("meta"), torch.no_grad():
        unet = lay_out(json.loads(config)).eval()
        image, level = torch.zeros(1, 3, *size), torch.zeros(1)
        with _Alive(unet.parameters()) as alive:
            unet(image, level)
    return round(SAFETY * alive.most)


class _Alive(TorchDispatchMode):
    """Counts the bytes of the living tensors that operations made, without those of `given`."""

    def __init__(self, given: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.given = [StorageWeakRef(tensor.untyped_storage()) for tensor in given]
        self.ignored = {reference.cdata for reference in self.given}
        self.storages: dict[int, tuple[StorageWeakRef, int]] = {}
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        for made in tree_iter(results):
            if isinstance(made, Tensor):
                storage = made.untyped_storage()
                reference = StorageWeakRef(storage)
                if reference.cdata not in self.ignored:
                    self.storages[reference.cdata] = (reference, storage.nbytes())
        self.storages = {at: kept for at, kept in self.storages.items() if not kept[0].expired()}
        self.most = max(self.most, sum(size for _, size in self.storages.values()))
        return results
