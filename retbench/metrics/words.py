"""Codes and labels as machine words: checked once here, then compared with one instruction for 64 bits or classes."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, uint8

Words = NDArray[np.uint64]

MOST_BITS = 32767  # distances are int16


def code_words(where: str, codes: Tensor, bits: int) -> Words:
    """Return packed codes, uint8 (N, ceil(bits / 8)), as words (N, ceil(bits / 64)).

    Raises:
        ValueError: wrong dtype, shape or width, or bits set beyond the code's end.
    """
    rows = byte_rows(where, codes)
    if not 1 <= bits <= MOST_BITS:
        raise ValueError(f"{where}: wrong number of bits: got {bits}, expected 1 to {MOST_BITS}")
    if rows.shape[1] != -(-bits // 8):
        raise ValueError(
            f"{where}: wrong packed width: got {rows.shape[1]} bytes, expected {-(-bits // 8)} for {bits} bits"
        )
    if bits % 8 and bool((rows[:, -1] & (0xFF >> bits % 8)).any()):
        raise ValueError(
            f"{where}: longer than the stated length: got bits set beyond bit {bits}, expected zeros there"
        )
    return as_words(rows)


def label_words(where: str, labels: Tensor) -> Words:
    """Return multi-hot labels, uint8 (N, C) of zeros and ones, as words (N, ceil(C / 64)).

    Raises:
        ValueError: wrong dtype or shape, no class at all, or a value other than 0 and 1.
    """
    rows = byte_rows(where, labels)
    if rows.shape[1] == 0:
        raise ValueError(f"{where}: no classes: got shape {tuple(labels.shape)}, expected at least one column")
    if rows.size and rows.max() > 1:
        raise ValueError(f"{where}: not multi-hot: got the value {rows.max()}, expected 0 or 1")
    return as_words(np.packbits(rows, axis=1))


def byte_rows(where: str, matrix: Tensor) -> NDArray[np.uint8]:
    """Return a uint8 matrix as a numpy array, on the CPU.

    Raises:
        ValueError: wrong dtype or number of dimensions.
    """
    if matrix.dtype != uint8:
        raise ValueError(f"{where}: wrong dtype: got {matrix.dtype}, expected torch.uint8")
    if matrix.ndim != 2:
        raise ValueError(f"{where}: wrong shape: got {tuple(matrix.shape)}, expected two dimensions")
    rows: NDArray[np.uint8] = matrix.cpu().numpy()
    return rows


def as_words(rows: NDArray[np.uint8]) -> Words:
    """Return rows of bytes (N, B) as rows of words (N, ceil(B / 8)), padded with zeros."""
    padded = np.zeros((len(rows), -(-rows.shape[1] // 8) * 8), np.uint8)
    padded[:, : rows.shape[1]] = rows
    return padded.view(np.uint64)
