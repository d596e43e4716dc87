"""How all tests run: on one thread each, because `make test` starts a process for each core, and with few examples."""

import os

for library in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")  # before torch is imported, and for processes that tests start

from hypothesis import settings  # noqa: E402  it may import NumPy, which reads the variables above

settings.register_profile("retbench", deadline=None, max_examples=100)
settings.load_profile("retbench")
