"""Packing, unpacking and Hamming distances of binary codes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from retbench.metrics import hamming, pack, unpack


def random_codes(count: int, bits: int, seed: int = 0) -> Tensor:
    signs = np.random.default_rng(seed).integers(0, 2, (count, bits), dtype=np.int8) * 2 - 1
    return torch.from_numpy(signs.astype(np.int8))


@given(count=st.integers(0, 9), bits=st.integers(1, 520), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_unpacking_undoes_packing(count: int, bits: int, seed: int) -> None:
    codes = random_codes(count, bits, seed)
    packed = pack(codes)
    assert packed.dtype == torch.uint8
    assert packed.shape == (count, (bits + 7) // 8)
    assert torch.equal(unpack(packed, bits), codes)


@pytest.mark.parametrize("bits", [1, 5, 8, 13, 64, 512])
def test_packed_bytes_equal_numpy_packbits(bits: int) -> None:
    codes = random_codes(7, bits)
    assert np.array_equal(pack(codes).numpy(), np.packbits(codes.numpy() > 0, axis=1))


@pytest.mark.parametrize("bits", [1, 4, 7, 8, 9, 31, 32, 63, 64, 65, 127, 128, 200, 512])
def test_the_distance_is_half_of_length_minus_inner_product(bits: int) -> None:
    queries, database = random_codes(5, bits, 1), random_codes(23, bits, 2)
    distances = hamming(pack(queries), pack(database))
    assert distances.dtype == torch.int16
    assert torch.equal(distances.long(), (bits - queries.long() @ database.long().T) // 2)


def test_the_distance_of_opposite_codes_is_their_length() -> None:
    codes = random_codes(3, 511)
    assert hamming(pack(codes), pack(-codes)).diagonal().tolist() == [511] * 3
    assert hamming(pack(codes), pack(codes)).diagonal().tolist() == [0] * 3


def test_an_empty_input_gives_an_empty_matrix() -> None:
    three, none = pack(random_codes(3, 12)), pack(random_codes(0, 12))
    assert hamming(three, none).shape == (3, 0)
    assert hamming(none, three).shape == (0, 3)


def test_views_have_the_same_distances_as_copies() -> None:
    packed = pack(random_codes(8, 40))
    assert torch.equal(hamming(packed[::2], packed[1::2]), hamming(packed[::2].clone(), packed[1::2].clone()))


def test_packing_a_zero_raises() -> None:
    codes = random_codes(3, 12)
    codes[1, 7] = 0
    with pytest.raises(ValueError, match=r"^pack: not a binary code: got the value 0, expected -1 or \+1$"):
        pack(codes)


@pytest.mark.parametrize("value", [2, -2, 127, -128])
def test_packing_any_other_value_raises(value: int) -> None:
    with pytest.raises(ValueError, match=f"got the value {value}"):
        pack(torch.full((1, 3), value, dtype=torch.int8))


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (torch.ones(2, 3), "wrong dtype: got torch.float32, expected torch.int8"),
        (torch.ones(3, dtype=torch.int8), "wrong shape"),
        (torch.ones(3, 0, dtype=torch.int8), "wrong shape"),
    ],
)
def test_packing_a_wrong_dtype_or_shape_raises(codes: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pack(codes)


@pytest.mark.parametrize(
    ("packed", "bits", "message"),
    [
        (torch.zeros(2, 1, dtype=torch.int8), 8, "wrong dtype"),
        (torch.zeros(2, 1, dtype=torch.uint8), 9, r"wrong shape: got \(2, 1\), expected \(N, 2\) for 9 bits"),
        (torch.zeros(2, 2, dtype=torch.uint8), 8, "wrong shape"),
        (torch.zeros(2, 0, dtype=torch.uint8), 0, "wrong number of bits: got 0"),
    ],
)
def test_unpacking_a_wrong_dtype_or_width_raises(packed: Tensor, bits: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unpack(packed, bits)


def test_distances_of_codes_that_do_not_match_raise() -> None:
    with pytest.raises(ValueError, match="hamming: database: wrong width: got 2 bytes, expected the queries' 1"):
        hamming(torch.zeros(1, 1, dtype=torch.uint8), torch.zeros(1, 2, dtype=torch.uint8))
    with pytest.raises(ValueError, match="hamming: queries: wrong dtype"):
        hamming(torch.zeros(1, 1, dtype=torch.int8), torch.zeros(1, 1, dtype=torch.uint8))
    with pytest.raises(ValueError, match="expected at most 4096"):
        hamming(torch.zeros(1, 4097, dtype=torch.uint8), torch.zeros(1, 4097, dtype=torch.uint8))
