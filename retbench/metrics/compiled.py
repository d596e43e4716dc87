"""The one place that knows numba; it and the modules of kernels are imported on first use: that takes half a second.

A kernel's cache entry is refreshed when the kernel's own file changes, not when a file that it calls into does. So a
kernel calls only kernels of its own file.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def compiled(*, reassociate: bool = False) -> Callable[[Kernel], Kernel]:
    """Return a decorator that compiles a kernel to machine code which runs without the interpreter lock.

    The machine code is cached on disk; where no cache directory can be written (a read-only installation without a
    home), it is compiled anew in every process. `reassociate` lets a floating-point sum run in several lanes: its last
    digits then depend on the processor.
    """

    def decorate(kernel: Kernel) -> Kernel:
        options: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc"} if reassociate else False}
        try:
            return cast(Kernel, numba.njit(cache=True, **options)(kernel))
        except RuntimeError:  # numba found no directory that it can write its cache to
            return cast(Kernel, numba.njit(**options)(kernel))

    return decorate
