"""Binary codes, eight bits to the byte, and the Hamming distance between them."""

import numpy as np
import torch
from torch import Tensor

from retbench.metrics.words import MOST_BITS, as_words, byte_rows

PLACES = (128, 64, 32, 16, 8, 4, 2, 1)


def pack(codes: Tensor) -> Tensor:
    """Return codes packed into bytes: uint8 (N, ceil(K / 8)), on the device of `codes`.

    A +1 becomes a set bit. The first bit of a code is the highest of the first byte (numpy.packbits' order); what the
    last byte has left over is zero. No codes, (0, K), give (0, ceil(K / 8)).

    Args:
        codes: int8 (N, K), each -1 or +1, K >= 1.

    Raises:
        ValueError: wrong dtype or shape, or a value other than -1 and +1 (a 0 is no bit: settle it before).

    >>> pack(torch.tensor([[1, -1, -1, 1, 1]], dtype=torch.int8))
    tensor([[152]], dtype=torch.uint8)
    """
    if codes.dtype != torch.int8:
        raise ValueError(f"pack: wrong dtype: got {codes.dtype}, expected torch.int8")
    if codes.ndim != 2 or codes.shape[1] == 0:
        raise ValueError(f"pack: wrong shape: got {tuple(codes.shape)}, expected (N, K) with K >= 1")
    wrong = codes[codes.abs() != 1]
    if len(wrong):
        raise ValueError(f"pack: not a binary code: got the value {int(wrong[0])}, expected -1 or +1")
    count, bits = codes.shape
    padded = torch.nn.functional.pad((codes > 0).to(torch.uint8), (0, -bits % 8)).reshape(count, -(-bits // 8), 8)
    return (padded * _places(codes.device)).sum(dim=2, dtype=torch.uint8)


def unpack(packed: Tensor, bits: int) -> Tensor:
    """Return packed codes as int8 (N, bits) of -1 and +1, on the device of `packed`: the inverse of `pack`.

    Args:
        packed: uint8 (N, ceil(bits / 8)).
        bits: the code's length K, at least 1.

    Raises:
        ValueError: wrong dtype or shape, or a width that does not belong to `bits`.

    >>> unpack(torch.tensor([[152]], dtype=torch.uint8), 5)
    tensor([[ 1, -1, -1,  1,  1]], dtype=torch.int8)
    """
    if packed.dtype != torch.uint8:
        raise ValueError(f"unpack: wrong dtype: got {packed.dtype}, expected torch.uint8")
    if bits < 1:
        raise ValueError(f"unpack: wrong number of bits: got {bits}, expected at least 1")
    if packed.ndim != 2 or packed.shape[1] != -(-bits // 8):
        raise ValueError(
            f"unpack: wrong shape: got {tuple(packed.shape)}, expected (N, {-(-bits // 8)}) for {bits} bits"
        )
    ones = (packed.unsqueeze(2) & _places(packed.device)) != 0
    return ones.flatten(1)[:, :bits].to(torch.int8) * 2 - 1


def hamming(queries: Tensor, database: Tensor) -> Tensor:
    """Return the Hamming distances between packed codes: int16 (Q, M), in bits, 0..K, on the device of `queries`.

    d(q, x) = (K - <q, x>) / 2 for codes in {-1, +1}. Computed on the CPU. Without queries or items the matrix is empty.

    Args:
        queries: uint8 (Q, B), from `pack`.
        database: uint8 (M, B), of the same code length.

    Raises:
        ValueError: wrong dtype or shape, different widths, or more than 32 767 bits.
    """
    left, right = byte_rows("hamming: queries", queries), byte_rows("hamming: database", database)
    if left.shape[1] != right.shape[1]:
        raise ValueError(
            f"hamming: database: wrong width: got {right.shape[1]} bytes, expected the queries' {left.shape[1]}"
        )
    if left.shape[1] * 8 > MOST_BITS + 1:
        raise ValueError(
            f"hamming: queries: wrong width: got {left.shape[1]} bytes, expected at most {MOST_BITS // 8 + 1}"
        )
    from retbench.metrics.counting import fill_distances

    distances = np.empty((len(left), len(right)), np.int16)
    fill_distances(as_words(left), np.ascontiguousarray(as_words(right).T), distances)
    return torch.from_numpy(distances).to(queries.device)


def _places(device: torch.device) -> Tensor:
    return torch.tensor(PLACES, dtype=torch.uint8, device=device)
