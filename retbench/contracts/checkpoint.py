"""Checkpoint files: written completely or not at all, with a digest, and read only if every byte is as written."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from torch import Tensor

from retbench.contracts.weights.foreign import is_finite

_MAGIC = b"retbench checkpoint 2\n"
_DIGEST_LENGTH = 64


def write_checkpoint(path: Path, state: Mapping[str, Any], key: str) -> None:
    """Write a checkpoint and keep the one before it; a killed process or a full disk leaves both as they were.

    Args:
        path: the file; the checkpoint before it moves to `previous_checkpoint(path)`.
        state: tensors, numbers, strings, and lists and dictionaries of these.
        key: the key of the step, which the checkpoint carries.

    Raises:
        OSError: the file cannot be written.
    """
    partial = path.with_suffix(".partial")
    try:
        with open(partial, "wb") as stream:
            _write(stream, {"key": key, "state": dict(state)})
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if path.exists():
        os.replace(path, previous_checkpoint(path))
    os.replace(partial, path)
    _sync(path.parent)


def read_checkpoint(path: Path, key: str) -> dict[str, Any]:
    """Return the state in a checkpoint, its tensors on the CPU; no code in the file is run.

    Raises:
        ValueError: the file is damaged, belongs to another step, or holds NaN or infinity; the message is the reason.
    """
    data = path.read_bytes()
    header = len(_MAGIC) + _DIGEST_LENGTH
    if not data.startswith(_MAGIC):
        raise ValueError("it is damaged, or not a checkpoint of this version")
    if sha256(memoryview(data)[header:]).hexdigest().encode() != data[len(_MAGIC) : header]:
        raise ValueError("it is damaged: its bytes do not match its digest")
    try:
        content = torch.load(io.BytesIO(memoryview(data)[header:]), map_location="cpu", weights_only=True)
        found, state = content["key"], dict(content["state"])
    except Exception as error:  # its bytes are as written, so another program wrote it
        raise ValueError(f"it cannot be read: {type(error).__name__}") from None
    if found != key:
        raise ValueError(f"it belongs to another training: key got {str(found)[:12]}, expected {key[:12]}")
    if name := find_non_finite(state):
        raise ValueError(f"{name} is not finite")
    return state


def previous_checkpoint(path: Path) -> Path:
    """Return the path of the checkpoint that was written before the one at `path`."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def find_non_finite(state: object) -> str | None:
    """Return the name of the first tensor in nested mappings and lists that holds NaN or infinity, or None."""
    return next((name for name, tensor in _tensors(state, "") if not is_finite(tensor)), None)


def _tensors(state: object, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(state, Tensor):
        yield name, state
    elif isinstance(state, Mapping | list | tuple):
        items = state.items() if isinstance(state, Mapping) else enumerate(state)
        for inner, value in items:
            yield from _tensors(value, f"{name}.{inner}" if name else str(inner))


class _DigestingWriter:
    """Passes bytes on to a stream and computes their digest; keeps the error of the stream, which torch replaces."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.digest = stream, sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            written = self.stream.write(data)
        except OSError as error:
            self.error = error
            raise
        self.digest.update(data)
        return written

    def flush(self) -> None:
        self.stream.flush()


def _write(stream: BinaryIO, content: dict[str, Any]) -> None:
    stream.write(_MAGIC + b"0" * _DIGEST_LENGTH)
    writer = _DigestingWriter(stream)
    try:
        torch.save(content, cast(BinaryIO, writer))
    except RuntimeError:
        if writer.error is not None:
            raise writer.error from None
        raise
    stream.seek(len(_MAGIC))
    stream.write(writer.digest.hexdigest().encode())
    stream.flush()
    os.fsync(stream.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
