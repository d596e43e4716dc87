"""Packed binary codes, eight bits per byte, and their Hamming distances."""

import numpy as np
import torch
from torch import Tensor

from retbench.metrics.words import MAX_BITS, as_words, byte_rows

BIT_VALUES = (128, 64, 32, 16, 8, 4, 2, 1)


def pack(codes: Tensor) -> Tensor:
    """Return binary codes packed into bytes: uint8 (N, ceil(K / 8)), on the device of `codes`.

    A +1 becomes a set bit. The first bit of a code is the highest bit of the first byte, as in numpy.packbits; unused
    bits of the last byte are zero. Codes (0, K) give (0, ceil(K / 8)).

    Args:
        codes: int8 (N, K), each value -1 or +1, K >= 1.

    Raises:
        ValueError: the codes have a wrong dtype or shape, or a value other than -1 and +1.

    Example:
        >>> import torch
        >>> from retbench.metrics import pack
        >>> pack(torch.tensor([[1, -1, -1, 1, 1]], dtype=torch.int8))  # the byte 10011000
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
    return (padded * _bit_values(codes.device)).sum(dim=2, dtype=torch.uint8)


def unpack(packed: Tensor, bits: int) -> Tensor:
    """Return packed codes as int8 (N, bits) of -1 and +1, on the device of `packed`; the inverse of `pack`.

    Args:
        packed: uint8 (N, ceil(bits / 8)).
        bits: the code length, at least 1.

    Raises:
        ValueError: the packed codes have a wrong dtype or shape, or a width that does not match `bits`.

    Example:
        >>> import torch
        >>> from retbench.metrics import unpack
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
    is_set = (packed.unsqueeze(2) & _bit_values(packed.device)) != 0
    return is_set.flatten(1)[:, :bits].to(torch.int8) * 2 - 1


def hamming(queries: Tensor, database: Tensor) -> Tensor:
    """Return the Hamming distance of every query to every database item: int16 (Q, M), on the device of `queries`.

    Distances are in bits, 0 to K. For codes q and x in {-1, +1} the distance is (K - <q, x>) / 2. The computation runs
    on the CPU. Without queries or items the result is empty.

    Args:
        queries: packed codes, uint8 (Q, B), from `pack`.
        database: packed codes, uint8 (M, B), of the same code length.

    Raises:
        ValueError: an argument has a wrong dtype or shape, the widths differ, or they exceed 4096 bytes.

    Example:
        >>> import torch
        >>> from retbench.metrics import hamming, pack
        >>> codes = torch.tensor([[1, 1, 1, 1], [1, 1, -1, -1], [-1, -1, -1, 1]], dtype=torch.int8)
        >>> hamming(pack(codes[:1]), pack(codes))
        tensor([[0, 2, 3]], dtype=torch.int16)
    """
    query_rows, database_rows = byte_rows("hamming: queries", queries), byte_rows("hamming: database", database)
    if query_rows.shape[1] != database_rows.shape[1]:
        got, expected = database_rows.shape[1], query_rows.shape[1]
        raise ValueError(f"hamming: database: wrong width: got {got} bytes, expected the queries' {expected}")
    if query_rows.shape[1] * 8 > MAX_BITS + 1:
        raise ValueError(
            f"hamming: queries: wrong width: got {query_rows.shape[1]} bytes, expected at most {MAX_BITS // 8 + 1}"
        )
    from retbench.metrics.counting import fill_distances

    distances = np.empty((len(query_rows), len(database_rows)), np.int16)
    fill_distances(as_words(query_rows), np.ascontiguousarray(as_words(database_rows).T), distances)
    return torch.from_numpy(distances).to(queries.device)


def _bit_values(device: torch.device) -> Tensor:
    return torch.tensor(BIT_VALUES, dtype=torch.uint8, device=device)
