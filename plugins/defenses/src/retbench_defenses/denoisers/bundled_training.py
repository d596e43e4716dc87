"""Train a denoiser that this package ships: `python -m retbench_defenses.denoisers.bundled_training DATASET`."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import fmean
from typing import cast

import torch
from safetensors.torch import save_file

from retbench import Context, Dataset, Noise, State, TrainingData, load_catalog
from retbench_defenses.denoisers.bundled_denoiser import WEIGHTS
from retbench_defenses.denoisers.denoiser import METADATA_KEY, DenoiserMetadata
from retbench_defenses.denoisers.trained_denoiser import TrainedDenoiser

REPORT_EVERY = 50
"""Number of steps between two lines of progress."""


def main(arguments: list[str] | None = None) -> None:
    """Train on the dataset's training split and write the weights in half precision."""
    options = _parser().parse_args(arguments)
    training_options = {"steps": options.steps, "learning_rate": options.learning_rate, "levels": options.levels}
    denoiser = TrainedDenoiser.create(training_options)
    dataset = _load_dataset(options.dataset)
    ctx = Context(
        torch.device("cpu"),
        options.precision,
        Noise(seed=0, ids=("bundle",)),
        progress=_print_progress,
        record=_print_curve,
    )
    torch.manual_seed(0)
    start = time.monotonic()
    state = denoiser.fit(TrainingData(dataset, dataset.facts(), ctx.device), ctx)
    out = options.out or WEIGHTS / f"{options.dataset}.safetensors"
    save_denoiser(state, denoiser.metadata(dataset.facts()), out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB after {time.monotonic() - start:.0f} s")


def save_denoiser(state: State, metadata: DenoiserMetadata, path: Path) -> None:
    """Write a denoiser's state as a file that `BundledDenoiser` reads, with its metadata in the header."""
    header = {"config": json.dumps(dict(metadata.config), sort_keys=True), "levels": str(metadata.levels)}
    weights = {name: tensor.half() for name, tensor in state.items() if name != METADATA_KEY}
    save_file(weights, path, header)
    path.chmod(0o644)  # safetensors lets only the owner read the file, but a package is for every user


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m retbench_defenses.denoisers.bundled_training", description=__doc__)
    defaults = TrainedDenoiser()
    parser.add_argument("dataset", help="name of an installed dataset")
    parser.add_argument("--steps", type=int, default=defaults.steps, help="gradient steps (default: %(default)s)")
    parser.add_argument(
        "--learning-rate", type=float, default=defaults.learning_rate, help="peak learning rate (default: %(default)s)"
    )
    parser.add_argument(
        "--levels", type=int, default=defaults.levels, help="noise levels to train for (default: %(default)s)"
    )
    parser.add_argument(
        "--precision", choices=("float32", "bf16"), default="bf16", help="precision of the U-Net (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, help="file to write (default: the package's own weights)")
    return parser


def _load_dataset(name: str) -> Dataset:
    return cast(Dataset, load_catalog().entry("dataset", name).component.create())


def _print_progress(done: int, total: int) -> None:
    if done % REPORT_EVERY == 0 or done == total:
        print(f"step {done} of {total}", flush=True)


def _print_curve(name: str, values: object) -> None:
    if isinstance(values, list):
        for start in range(0, len(values), REPORT_EVERY):
            print(f"{name} from step {start}: {fmean(values[start : start + REPORT_EVERY]):.4f}")


if __name__ == "__main__":
    main()
