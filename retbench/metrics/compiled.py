"""The decorator of compiled kernels, and the only module that imports numba.

This module and the kernel modules are imported on first use, because importing numba takes half a second.

A kernel's cache entry is updated when the kernel's own file changes, but not when another file that it calls changes.
So a kernel calls only kernels of its own file.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def compiled(*, reassociate: bool = False) -> Callable[[Kernel], Kernel]:
    """Return a decorator that compiles a kernel to machine code that runs without the interpreter lock.

    The machine code is cached on disk. Where no cache directory is writable (a read-only installation without a home
    directory), every process compiles it again.

    Args:
        reassociate: allow the compiler to reorder floating-point sums for speed; their last digits then depend on the
            processor.
    """

    def decorate(kernel: Kernel) -> Kernel:
        options: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc"} if reassociate else False}
        try:
            return cast(Kernel, numba.njit(cache=True, **options)(kernel))
        except RuntimeError:  # numba found no writable cache directory
            return cast(Kernel, numba.njit(**options)(kernel))

    return decorate
