"""Compiled kernels do not need a writable cache."""

from pathlib import Path

import numpy as np
import pytest

from retbench import metrics


def test_the_exports_are_the_sorted_public_names() -> None:
    modules = {path.stem for path in Path(metrics.__file__).parent.glob("*.py")}
    public = {name for name in vars(metrics) if not name.startswith("_")} - modules
    assert metrics.__all__ == sorted(public)


def test_kernels_compile_without_a_writable_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core.caching import CacheImpl

    from retbench.metrics.compiled import compiled

    monkeypatch.setattr(CacheImpl, "_locator_classes", [])  # as if every directory were read-only

    def doubled(value: int) -> int:
        return value * 2

    assert compiled()(doubled)(21) == 42


def test_kernels_count_the_bits_of_a_word() -> None:
    from retbench.metrics.counting import count_ones

    words = [0, 1, 2**63, 2**64 - 1, 0x0123456789ABCDEF]
    assert [count_ones(np.uint64(word)) for word in words] == [word.bit_count() for word in words]
