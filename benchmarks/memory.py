"""Measure the memory of the largest steps of cross-modal hashing, beyond that of their inputs.

    python benchmarks/memory.py                    # each case in its own process; three minutes, 2 GB of memory
    python benchmarks/memory.py --case features --rows 195834      # 3.2 GB on disk while it runs

Cases:

- `coherence`: DGCPN's similarity of all pairs of 10 500 training rows;
- `triplets`: DADH's loss and its gradient on a batch of 128, compared with the size of a tensor over all its triplets;
- `features`: batches of random rows of a store with the features of a dataset, compared with their size on disk.

Memory is the peak resident set. For `features`, which are mapped from files, it is the resident memory without mapped
files (RssAnon, Linux only), because the kernel keeps pages of files in memory as long as no other program needs it.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from retbench_hashers.cross_modal.dadh_losses import triplet_loss
from retbench_hashers.cross_modal.dgcpn import graph_similarity
from retbench_hashers.cross_modal.joint_similarity_hasher import cosines

from retbench import TrainingData
from retbench.canon import digest
from retbench.stages import shard_rows
from retbench.store import Artifact, Store
from retbench.testing import ToyDataset

MIB = 1 << 20


def peak_memory() -> float:
    """Return the peak resident set of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def anonymous_memory() -> float:
    """Return the resident memory of this process without mapped files, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def peak_growth(function: Callable[[], object]) -> float:
    """Return the growth of the peak resident set during a call, in MiB."""
    before = peak_memory()
    function()
    return peak_memory() - before


def measure_coherence(rows: int) -> str:
    """Return a line with the memory of DGCPN's similarity beyond the features of its training rows."""
    images, texts = torch.rand(rows, 4096), torch.rand(rows, 1000)
    growth = peak_growth(lambda: graph_similarity(images, texts, neighbors=2000, scale=4000.0))
    matrices = growth * MIB / (4 * rows**2)
    return f"coherence of {rows} rows: {growth:.0f} MiB beyond its inputs, {matrices:.2f} matrices of n x n"


def measure_triplets(rows: int) -> str:
    """Return a line with the memory of DADH's triplet loss and its gradient beyond the codes of the batch."""
    codes = [torch.rand(rows, 32, requires_grad=True) for _ in range(2)]
    labels = (torch.rand(rows, 24) < 0.1).to(torch.uint8)
    # Warm-up, so that libraries loaded by the first call are not counted.
    cosines(*codes)
    triplet_loss(codes[0][:2], codes[1][:2], labels[:2], 0.4, weighted=True)
    growth = peak_growth(lambda: torch.autograd.backward(triplet_loss(*codes, labels, 0.4, weighted=True)))
    triplets = 4 * rows**3 / MIB
    return f"triplets of {rows} rows: {growth:.0f} MiB beyond its inputs; all triplets: {triplets:.0f} MiB"


def measure_features(rows: int) -> str:
    """Return a line with the memory of reading 64 batches of 32 random rows from a store of features."""
    with tempfile.TemporaryDirectory(prefix="retbench-") as folder:
        subprocess.run([sys.executable, __file__, "--write", folder, "--rows", str(rows)], check=True)
        store, dataset, generator = Store(Path(folder)), ToyDataset(), torch.Generator().manual_seed(0)
        before = anonymous_memory()
        shards = tuple(store.get(digest(start)).tensors["features"] for start, _ in shard_rows(rows))
        data = TrainingData(dataset, dataset.facts(), torch.device("cpu"), shards)
        for _ in range(64):
            data.features(torch.randint(rows, (32,), generator=generator).tolist())
        growth, on_disk = anonymous_memory() - before, rows * 4096 * 4 / MIB
        return f"features of {rows} rows: {growth:.0f} MiB, of {on_disk:.0f} MiB on disk"


def write_features(folder: Path, rows: int) -> None:
    """Write random features into a store; called in another process, whose memory is not measured."""
    for start, stop in shard_rows(rows):
        Store(folder).put(Artifact(digest(start), {"features": torch.rand(stop - start, 4096)}))


CASES: dict[str, tuple[Callable[[int], str], int]] = {
    "coherence": (measure_coherence, 10_500),
    "triplets": (measure_triplets, 128),
    "features": (measure_features, 40_000),
}


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--case", choices=sorted(CASES), help="measure only this case, in this process (default: all cases)"
    )
    parser.add_argument("--rows", type=int, help="number of rows of the case")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write_features(options.write, options.rows)
        return
    if options.case:
        measure, default_rows = CASES[options.case]
        print(measure(options.rows or default_rows))
        return
    for case in CASES:
        subprocess.run([sys.executable, __file__, "--case", case], check=True)


if __name__ == "__main__":
    main()
