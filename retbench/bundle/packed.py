"""An artifact of a store as bytes: read, and checked against its own digests."""

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
class PackedArtifact:
    """The files that a store holds under a key, byte for byte, and their content.

    Attributes:
        files: the bytes of its three files, by name.
        tensors, summary: its content.
        meta: recipe, seconds, environment and the rest, with the digests that the store wrote.
    """

    files: Mapping[str, bytes]
    tensors: Mapping[str, Tensor]
    summary: Mapping[str, Json]
    meta: Mapping[str, Any]

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe, with inputs by key."""
        recipe: dict[str, Any] = self.meta["recipe"]
        return recipe

    def problems(self, key: str) -> list[str]:
        """Return the parts that a store did not write under this key; empty for a sound artifact."""
        digests = {name: self.meta["payload"].get(name) for name in (TENSORS, SUMMARY)}
        wrong = [f"{name} does not match its digest" for name in digests if _sha256(self.files[name]) != digests[name]]
        if digest({name: value for name, value in self.meta.items() if name != "self"}) != self.meta["self"]:
            wrong.append(f"{META} does not match its digest")
        return [*wrong, *([] if digest(self.recipe) == key else ["its recipe does not have this key"])]


def read_packed(where: str, files: Mapping[str, bytes]) -> PackedArtifact:
    """Return the artifact in these files; raises BundleError, led by `where`, for bytes that are not one."""
    meta, summary = (read_json(f"{where}/{name}", files[name]) for name in (META, SUMMARY))
    if not isinstance(summary, dict):
        raise BundleError(f"{where}/{SUMMARY}: wrong content: got {type(summary).__name__}, expected a mapping")
    known = meta if isinstance(meta, dict) else {}
    if not all(isinstance(known.get(part), dict) for part in ("recipe", "payload")) or "self" not in known:
        raise BundleError(f"{where}/{META}: wrong content: expected a mapping with recipe, payload and self")
    return PackedArtifact(files, read_tensors(f"{where}/{TENSORS}", files[TENSORS]), summary, meta)


def read_tensors(where: str, data: bytes) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file; raises BundleError, led by `where`, for bytes that are not one."""
    try:
        return load(data)
    except (SafetensorError, AssertionError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise BundleError(f"{where}: not a safetensors file: {str(error)[:200]!r}") from None


def check_tensor(where: str, tensor: Tensor | None, dtype: torch.dtype, *shape: int | None) -> Tensor:
    """Return the tensor if it has this dtype and shape, where None is any size; else raises BundleError."""
    if tensor is None:
        raise BundleError(f"{where}: it is missing")
    fits = len(tensor.shape) == len(shape) and all(
        want in (None, got) for got, want in zip(tensor.shape, shape, strict=True)
    )
    if tensor.dtype != dtype or not fits:
        got, expected = f"{tensor.dtype} {tuple(tensor.shape)}", f"{dtype} {shape}".replace("None", "any")
        raise BundleError(f"{where}: wrong tensor: got {got}, expected {expected}")
    return tensor


def _sha256(data: bytes) -> str:
    return sha256(data).hexdigest()
