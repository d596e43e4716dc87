"""Read the files of a store's artifact from bytes, and check them against their own digests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from retbench.bundle.records import read_json
from retbench.canon import Json, digest
from retbench.errors import BundleError
from retbench.store.store import META, SUMMARY, TENSORS

FILES = (TENSORS, SUMMARY, META)


@dataclass(frozen=True)
class BundledArtifact:
    """An artifact in a bundle: its files, byte for byte as in the store, and their content.

    Attributes:
        files: the bytes of the three files, by name.
        tensors, summary: the content of the first two.
        meta: recipe, seconds and environment of the step, and the digests that the store wrote.
    """

    files: Mapping[str, bytes]
    tensors: Mapping[str, Tensor]
    summary: Mapping[str, Json]
    meta: Mapping[str, Any]

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe; inputs are keys of other steps."""
        recipe: dict[str, Any] = self.meta["recipe"]
        return recipe

    def find_problems(self, key: str) -> list[str]:
        """Return a message for each file whose digest is wrong, and for a recipe with another key; empty if intact."""
        digests = {name: self.meta["payload"].get(name) for name in (TENSORS, SUMMARY)}
        problems = [
            f"{name} does not match its digest" for name in digests if _sha256(self.files[name]) != digests[name]
        ]
        if digest({name: value for name, value in self.meta.items() if name != "self"}) != self.meta["self"]:
            problems.append(f"{META} does not match its digest")
        return [*problems, *([] if digest(self.recipe) == key else ["its recipe does not have this key"])]


def read_artifact(where: str, files: Mapping[str, bytes]) -> BundledArtifact:
    """Return the artifact in these files.

    Args:
        where: named first in messages.
        files: the bytes of all FILES, by name.

    Raises:
        BundleError: a file is not what a store writes.
    """
    meta, summary = (read_json(f"{where}/{name}", files[name]) for name in (META, SUMMARY))
    if not isinstance(summary, dict):
        raise BundleError(f"{where}/{SUMMARY}: wrong content: got {type(summary).__name__}, expected a mapping")
    fields = meta if isinstance(meta, dict) else {}
    if not all(isinstance(fields.get(name), dict) for name in ("recipe", "payload")) or "self" not in fields:
        raise BundleError(f"{where}/{META}: wrong content: expected a mapping with recipe, payload and self")
    return BundledArtifact(files, read_tensors(f"{where}/{TENSORS}", files[TENSORS]), summary, meta)


def read_tensors(where: str, data: bytes) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file; raises BundleError, with `where` first, for other bytes."""
    try:
        return load(data)
    except (SafetensorError, AssertionError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise BundleError(f"{where}: not a safetensors file: {str(error)[:200]!r}") from None


def check_tensor(where: str, tensor: Tensor | None, dtype: torch.dtype, *shape: int | None) -> Tensor:
    """Return a tensor of this dtype and shape unchanged; raises BundleError for any other, or for None.

    A size of None in the shape stands for any size.
    """
    if tensor is None:
        raise BundleError(f"{where}: missing")
    fits = len(tensor.shape) == len(shape) and all(
        want in (None, got) for got, want in zip(tensor.shape, shape, strict=True)
    )
    if tensor.dtype != dtype or not fits:
        got, expected = f"{tensor.dtype} {tuple(tensor.shape)}", f"{dtype} {shape}".replace("None", "any")
        raise BundleError(f"{where}: wrong tensor: got {got}, expected {expected}")
    return tensor


def _sha256(data: bytes) -> str:
    return sha256(data).hexdigest()
