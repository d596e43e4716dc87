"""Prints how much memory the large steps of cross-modal hashing take, beyond what they are given.

    python benchmarks/memory.py                    # each case in a process of its own; three minutes, 2 GB of memory
    python benchmarks/memory.py --case features --rows 195834      # 3.2 GB on disk while it runs

`coherence`: DGCPN's similarity of all pairs of 10 500 training rows. `triplets`: DADH's loss and its gradient on a
batch of 128, and the bytes of a tensor over all triples of it. `features`: rows gathered at random from a store that
holds the features of a whole dataset, against their size on disk. Memory is the largest resident set; of `features`,
which are mapped, the resident pages that only this process can give back (Linux's RssAnon), because the kernel keeps
pages of files as long as nobody else wants the memory.
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


def resident() -> float:
    """Return the largest resident set of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def anonymous() -> float:
    """Return the resident memory of this process that no file stands behind, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def grown(work: Callable[[], object]) -> float:
    """Return by how many MiB the largest resident set grew while something was done."""
    before = resident()
    work()
    return resident() - before


def measure_coherence(rows: int) -> str:
    """Return what DGCPN's similarity takes beyond the features of its training rows."""
    images, texts = torch.rand(rows, 4096), torch.rand(rows, 1000)
    more = grown(lambda: graph_similarity(images, texts, neighbors=2000, scale=4000.0))
    matrices = more * MIB / (4 * rows**2)
    return f"coherence of {rows} rows: {more:.0f} MiB beyond its inputs, {matrices:.2f} matrices of n x n"


def measure_triplets(rows: int) -> str:
    """Return what DADH's triplet loss takes beyond the codes of a batch, with its gradient."""
    codes = [torch.rand(rows, 32, requires_grad=True) for _ in range(2)]
    labels = (torch.rand(rows, 24) < 0.1).to(torch.uint8)
    cosines(*codes)  # loads what the first matrix product loads
    triplet_loss(codes[0][:2], codes[1][:2], labels[:2], 0.4, weighted=True)
    more = grown(lambda: torch.autograd.backward(triplet_loss(*codes, labels, 0.4, weighted=True)))
    triples = 4 * rows**3 / MIB
    return f"triplets of {rows} rows: {more:.0f} MiB beyond its inputs; one tensor of all triples: {triples:.0f} MiB"


def measure_features(rows: int) -> str:
    """Return what a training takes that gathers 64 batches of 32 rows from a store of features."""
    with tempfile.TemporaryDirectory(prefix="retbench-") as folder:
        subprocess.run([sys.executable, __file__, "--write", folder, "--rows", str(rows)], check=True)
        store, dataset, picks = Store(Path(folder)), ToyDataset(), torch.Generator().manual_seed(0)
        before = anonymous()
        shards = tuple(store.get(digest(start)).tensors["features"] for start, _ in shard_rows(rows))
        data = TrainingData(dataset, dataset.facts(), torch.device("cpu"), shards)
        for _ in range(64):
            data.features(torch.randint(rows, (32,), generator=picks).tolist())
        return f"features of {rows} rows: {anonymous() - before:.0f} MiB, of {rows * 4096 * 4 / MIB:.0f} MiB on disk"


def write_features(folder: Path, rows: int) -> None:
    """Fills a store with features; in a process of its own, because what it takes is not to be counted."""
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
    parser.add_argument("--case", choices=sorted(CASES), help="one of them, in this process")
    parser.add_argument("--rows", type=int, help="rows of the case")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write:
        write_features(asked.write, asked.rows)
        return
    if asked.case:
        measure, rows = CASES[asked.case]
        print(measure(asked.rows or rows))
        return
    for case in CASES:
        subprocess.run([sys.executable, __file__, "--case", case], check=True)


if __name__ == "__main__":
    main()
