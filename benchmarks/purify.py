"""Prints what a purifier costs beyond its network, as ratios that hold from machine to machine.

    python benchmarks/purify.py

All variants take short turns within each round, so that a busy machine slows them alike; a ratio is taken within each
round, and its median printed. Images are random: the cost does not depend on them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from retbench_defenses.bundled_denoiser import BundledDenoiser
from retbench_defenses.chain import build_chain
from retbench_defenses.ddpm import Ddpm
from retbench_defenses.denoiser import build_unet
from retbench_defenses.retpur import RetPur
from torch import Tensor

from retbench import Context, Noise, State, TrainingData
from retbench.catalog import load_catalog

CPU = torch.device("cpu")
RATIOS = (
    ("ddpm over its bare U-Net calls", "ddpm", "calls", "at most 1.10"),
    ("retpur over its bare U-Net calls", "retpur", "calls", "at most 1.20"),
    ("U-Net, float32 NCHW over bf16 channels last", "float32", "calls", "at least 1.6"),
    ("noise in the time of ddpm", "ddpm noise", "ddpm", "below 0.05"),
    ("noise in the time of retpur", "retpur noise", "retpur", "below 0.05"),
)


def main() -> None:
    """Times every variant in turn and prints the ratios with their goals."""
    asked = _parser().parse_args()
    torch.set_num_threads(asked.threads)
    state = _bundled(asked.dataset)
    images = torch.rand(asked.batch, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    variants = _variants(state, images, asked.steps)
    with torch.no_grad():
        _seconds(variants)  # once for what is built on first use
        rounds = [_seconds(variants) for _ in range(asked.repeats)]
    for name in variants:
        print(f"{name:13}{median(r[name] for r in rounds):8.3f} s")
    for what, numerator, denominator, goal in RATIOS:
        values = sorted(r[numerator] / r[denominator] for r in rounds)
        print(f"{what:45}{median(values):7.3f}   from {values[0]:.3f} to {values[-1]:.3f}, goal {goal}")


def _variants(state: State, images: Tensor, steps: int) -> dict[str, Callable[[], object]]:
    noise = Noise(0, tuple(f"query-{row}" for row in range(len(images))))
    shape = tuple(images.shape[1:])
    levels = [link.level for link in build_chain(steps, None)]
    purifiers = {"ddpm": Ddpm(t_p=steps), "retpur": RetPur(t_p=steps)}
    under_role = {f"denoiser/{name}": tensor for name, tensor in state.items()}
    half: Any = build_unet(state, CPU)
    full: Any = build_unet(state, CPU).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # the stub omits this argument
    last = images.contiguous(memory_format=torch.channels_last)

    def purify(name: str) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return purifiers[name].purify(images, under_role, noise)

    def call(net: Any, inputs: Tensor, enabled: bool) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            for level in levels:
                net(inputs, level)

    def draw(*purposes: str) -> None:
        for level in levels:
            for purpose in purposes:
                noise.normal(purpose, shape, level)

    return {
        "calls": lambda: call(half, last, True),
        "ddpm": lambda: purify("ddpm"),
        "retpur": lambda: purify("retpur"),
        "float32": lambda: call(full, images, False),
        "ddpm noise": lambda: draw("reverse"),
        "retpur noise": lambda: draw("reverse", "guide"),
    }


def _seconds(variants: dict[str, Callable[[], object]]) -> dict[str, float]:
    seconds = {}
    for name, run in variants.items():
        start = time.perf_counter()
        run()
        seconds[name] = time.perf_counter() - start
    return seconds


def _bundled(name: str) -> State:
    dataset: Any = load_catalog().entry("dataset", name).component.create()
    data = TrainingData(dataset, dataset.facts(), CPU)
    return BundledDenoiser().fit(data, Context(CPU, "float32", Noise(0, ("benchmark",))))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="digits", help="whose bundled denoiser (%(default)s)")
    parser.add_argument("--batch", type=int, default=64, help="images purified at once (%(default)s)")
    parser.add_argument("--steps", type=int, default=15, help="purify step (%(default)s)")
    parser.add_argument("--repeats", type=int, default=9, help="rounds (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (%(default)s)")
    return parser


if __name__ == "__main__":
    main()
