"""Measure the time that the fingerprint of a folder of images takes, on the first run and on later ones.

    python benchmarks/fingerprint.py [--images N] [--bytes N] [--folder DIR]

Writes files of random bytes in one folder per class, or takes those that the folder already has, and reads them as the
dataset `image-folder`: the list of files, the fingerprint when no digest is remembered (from the disk: the files are
evicted from the memory of the system first), the fingerprint when all of them are, and the search for defects, which is
part of every plan. The baseline hashes the same files one after the other in one thread. Prints seconds by the clock,
processor seconds, and megabytes per second by the clock.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from retbench_datasets.published.image_folder import ImageFolder
from tabulate import tabulate

from retbench.survey import find_defects

CLASSES = 20
SETTLING_SECONDS = 3
"""A file is remembered only if it is older than two seconds."""


def write_images(folder: Path, images: int, size: int) -> list[Path]:
    """Return the paths of the files, after writing those that do not exist."""
    names = [folder / f"class-{number % CLASSES:02d}" / f"{number:07d}.jpg" for number in range(images)]
    missing = [name for name in names if not name.exists()]
    for name in missing:
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_bytes(os.urandom(size))
    if missing:
        time.sleep(SETTLING_SECONDS)
    return names


def evict(files: list[Path]) -> None:
    """Drop the contents of the files from the memory of the system, where it has a call for that."""
    os.sync()
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def hash_one_by_one(files: list[Path]) -> None:
    """Hash each file in this thread."""
    for file in files:
        with file.open("rb") as stream:
            hashlib.file_digest(stream, "sha256")


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that some work takes, by the clock and on the processors."""
    usage, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    return seconds, after.ru_utime - usage.ru_utime + after.ru_stime - usage.ru_stime


def measure_all(files: list[Path]) -> Iterator[tuple[str, float, float]]:
    """Yield a name, seconds by the clock and processor seconds for each piece of work."""
    dataset = ImageFolder(queries=max(1, len(files) // 100))
    yield "list of files", *measure(dataset.index)
    evict(files)
    yield "baseline: hashing one by one", *measure(lambda: hash_one_by_one(files))
    evict(files)
    first = []
    yield "fingerprint, first run", *measure(lambda: first.append(dataset.fingerprint()))
    yield "fingerprint, later run", *measure(lambda: first.append(dataset.fingerprint()))
    if first[0] != first[1]:
        raise SystemExit(f"the fingerprints differ: {first}")
    yield "defects of ids, labels and files", *measure(lambda: find_defects(dataset))
    by_size = ImageFolder(queries=dataset.queries, identity="size")
    yield "fingerprint by size", *measure(by_size.fingerprint)


def main() -> None:
    """Write the files, time each piece of work and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200_000, help="number of files (default: %(default)s)")
    parser.add_argument("--bytes", type=int, default=10_000, help="size of each file (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="folder of the files, which are kept (default: a temporary one)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = options.folder or Path(temporary)
        os.environ["RETBENCH_DATA"] = str(root)
        with tempfile.TemporaryDirectory(dir=root if root.is_dir() else None) as cache:
            os.environ["RETBENCH_CACHE"] = cache
            files = write_images(root / "image-folder", options.images, options.bytes)
            megabytes = options.images * options.bytes / 1e6
            rows = [
                (name, f"{seconds:.2f}", f"{processor:.2f}", f"{megabytes / seconds:.0f}")
                for name, seconds, processor in measure_all(files)
            ]
    print(tabulate(rows, ("work", "seconds", "processor seconds", "MB/s"), "simple", disable_numparse=True))


if __name__ == "__main__":
    main()
