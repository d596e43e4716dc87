"""Codes and labels as 64-bit words, checked once, so that one instruction compares 64 bits or classes."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, uint8

Words = NDArray[np.uint64]

MAX_BITS = 32767  # distances are int16


def code_words(argument: str, codes: Tensor, bits: int) -> Words:
    """Return packed codes as words (N, ceil(bits / 64)).

    Args:
        argument: the function and the argument that was passed, for messages.
        codes: packed codes, uint8 (N, ceil(bits / 8)).
        bits: the code length.

    Raises:
        ValueError: the codes have a wrong dtype, shape or width, or bits set beyond the code length.
    """
    rows = byte_rows(argument, codes)
    if not 1 <= bits <= MAX_BITS:
        raise ValueError(f"{argument}: wrong number of bits: got {bits}, expected 1 to {MAX_BITS}")
    if rows.shape[1] != -(-bits // 8):
        raise ValueError(
            f"{argument}: wrong packed width: got {rows.shape[1]} bytes, expected {-(-bits // 8)} for {bits} bits"
        )
    if bits % 8 and bool((rows[:, -1] & (0xFF >> bits % 8)).any()):
        raise ValueError(
            f"{argument}: longer than the stated length: got bits set beyond bit {bits}, expected zeros there"
        )
    return as_words(rows)


def label_words(argument: str, labels: Tensor) -> Words:
    """Return multi-hot labels as words (N, ceil(C / 64)).

    Args:
        argument: the function and the argument that was passed, for messages.
        labels: multi-hot uint8 (N, C).

    Raises:
        ValueError: the labels have a wrong dtype or shape, no class, or a value other than 0 and 1.
    """
    rows = byte_rows(argument, labels)
    if rows.shape[1] == 0:
        raise ValueError(f"{argument}: no classes: got shape {tuple(labels.shape)}, expected at least one column")
    if rows.size and rows.max() > 1:
        raise ValueError(f"{argument}: not multi-hot: got the value {rows.max()}, expected 0 or 1")
    return as_words(np.packbits(rows, axis=1))


def byte_rows(argument: str, matrix: Tensor) -> NDArray[np.uint8]:
    """Return a uint8 matrix as a numpy array on the CPU.

    Raises:
        ValueError: the matrix has a wrong dtype or not two dimensions; the message starts with `argument`.
    """
    if matrix.dtype != uint8:
        raise ValueError(f"{argument}: wrong dtype: got {matrix.dtype}, expected torch.uint8")
    if matrix.ndim != 2:
        raise ValueError(f"{argument}: wrong shape: got {tuple(matrix.shape)}, expected two dimensions")
    rows: NDArray[np.uint8] = matrix.cpu().numpy()
    return rows


def as_words(rows: NDArray[np.uint8]) -> Words:
    """Return rows of bytes (N, B) as rows of words (N, ceil(B / 8)), padded with zeros."""
    padded = np.zeros((len(rows), -(-rows.shape[1] // 8) * 8), np.uint8)
    padded[:, : rows.shape[1]] = rows
    return padded.view(np.uint64)
